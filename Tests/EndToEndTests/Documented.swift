import Foundation
import Support
import Testing

/// What documents and examples take for granted: servers that are called nas and notes, a database, a folder and a picture.
struct Documented {
  /// Hosts of the documents; the loopback server stands for all of them.
  private static let hosts = ["nas:5244", "127.0.0.1:6806", "files.example"]

  let box: Sandbox
  let server: Loopback

  init(_ box: Sandbox) async throws {
    self.box = box
    server = try await box.loopback()
    try box.file("bin/sluice", "#!/bin/sh\nexec '\(Program.built("sluice"))' \"$@\"\n", mode: 0o755)
    for (name, script) in Documented.standIns { try box.file("bin/\(name)", "#!/bin/sh\n\(script)\n", mode: 0o755) }
    try box.file("Documents/letter.txt", "Dear reader\n")
    try box.file("Documents/deep/数据.txt", "more\n")
    try box.file("photo.png", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
    try box.file("key.pub", "age1standin\n")
    try write(Array(Loopback.token.utf8), to: "\(box.home)/.config/sluice/nas.token", mode: 0o600)
    let config = """
      remotes:
        nas:
          type: alist
          url: \(server.url)
          token-file: ~/.config/sluice/nas.token
        notes:
          type: siyuan
          url: \(server.url)
          token: \(Loopback.token)
      """
    try write(Array(config.utf8), to: "\(box.home)/.config/sluice/config.yaml", mode: 0o600)
  }

  /// Small programs in the place of large ones. They fail if they are asked for something that is not here.
  private static let standIns = [
    "pg_dump": """
    [ "${PG_DUMP_STATUS:-0}" = 0 ] || { echo 'half a du'; exit "$PG_DUMP_STATUS"; }
    for last; do :; done
    [ "$last" = shop ] || exit 1
    i=0
    while [ $i -lt 100 ]; do echo "INSERT INTO orders VALUES ($i, 'something');"; i=$((i+1)); done
    echo '-- PostgreSQL database dump complete'
    """,
    // A database is a file, and shop is live.
    "psql": """
    for last; do :; done
    case "$*" in
      *'SELECT count'*) [ "$last" = shop ] && echo "${LIVE_ROWS:-100}" || grep -c INSERT "db-$last" ;;
      *) cat > "db-$last" ;;
    esac
    """,
    "createdb": ": > \"db-$1\"",
    "dropdb": "rm \"db-$2\"",
    "pg_restore": "[ \"$1\" = -f ] && tail -n 1 | grep -q complete",
    "mariadb-dump": "[ \"$1\" = -r ] && [ \"$3\" = shop ] && echo 'a dump of MariaDB' > \"$2\" && exit \"${DUMP_STATUS:-0}\"",
    "age": "[ \"$1\" = -R ] && [ -r \"$2\" ] && tr a-z n-za-m",
    "pass": "echo \(Loopback.password)",
  ]

  /// What the stand-in for pg_dump prints.
  static let dump =
    (0..<100).map { "INSERT INTO orders VALUES (\($0), 'something');\n" }.joined() + "-- PostgreSQL database dump complete\n"

  /// Puts last night's backup of the database at nas.
  func backUp() async throws {
    let run = try await shell("sluice -z nas:/backup/shop.sql.gz -- pg_dump shop")
    #expect(run.exit == 0, "\(run.summary)")
  }

  /// A text of a document with the server in the place of its hosts.
  func local(_ text: String) -> String {
    Documented.hosts.reduce(text) { $0.replacing("https://\($1)", with: server.url).replacing("http://\($1)", with: server.url) }
  }

  /// Runs a line with bash as a person would type it.
  func shell(_ line: String, environment: [String: String] = [:]) async throws -> Finished {
    var program = Program("/bin/bash", ["-o", "pipefail", "-c", line])
    program.environment = box.environment.merging(environment) { $1 }
    program.environment["PATH"] = "\(box.work)/bin:\(box.environment["PATH"] ?? "/usr/bin:/bin")"
    program.directory = box.work
    return try await box.start(program).finish()
  }

  /// Runs a script of examples/.
  func example(_ line: String, environment: [String: String] = [:]) async throws -> Finished {
    try await shell("'\(Document.folder)/examples'/\(line)", environment: environment)
  }

  /// What an object at the AList API holds when it is unpacked.
  func unpacked(_ path: String) async throws -> String {
    let run = try await box.shell("gunzip -c '\(server.alistFile(path))'")
    #expect(run.exit == 0, "\(run.summary)")
    return run.outputText
  }
}
