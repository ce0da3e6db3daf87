import Foundation
import Support
import Testing

/// The scripts of examples/ do what their comments say.
@Suite(.sandboxed)
struct ExampleTests {
  private let box = Sandbox.here

  @Test("pg-dump-nightly.sh uploads a dump under the day of the week")
  func dump() async throws {
    let documented = try await Documented(box)
    let run = try await documented.example("pg-dump-nightly.sh shop nas:/backup/shop")
    try run.success()
    let day = try await box.shell("date +%u").outputText.trimmingCharacters(in: .newlines)
    #expect(try await documented.unpacked("/backup/shop/shop-\(day).sql.gz") == Documented.dump)
  }

  @Test("pg-dump-nightly.sh leaves last week's dump when pg_dump fails or prints too little")
  func failedDump() async throws {
    let documented = try await Documented(box)
    try await documented.example("pg-dump-nightly.sh shop nas:/backup").success()
    let failing = ["PG_DUMP_STATUS": "1", "MIN_SIZE": "1"]
    try await documented.example("pg-dump-nightly.sh shop nas:/backup", environment: failing).failure(65, "input")
    try await documented.example("pg-dump-nightly.sh shop nas:/backup", environment: ["MIN_SIZE": "1M"]).failure(65, "input")
    let names = names(in: documented.server.alistFile("/backup"))
    #expect(names.count == 2 && names[1] == "\(names[0]).sha256")
    #expect(try await documented.unpacked("/backup/\(names[0])") == Documented.dump)
  }

  @Test("tar-home.sh uploads a folder with the date in its name, and only once")
  func home() async throws {
    let documented = try await Documented(box)
    try box.file("Documents/.cache/rubbish", "rubbish")
    try await documented.example("tar-home.sh Documents nas:/homes").success()
    let names = names(in: documented.server.alistFile("/homes"))
    #expect(names.count == 1)
    #expect(names[0].wholeMatch(of: /Documents-\d{4}-\d\d-\d\d\.tar\.gz/) != nil, "\(names)")
    let file = documented.server.alistFile("/homes/\(names[0])")
    let unpacked = try await box.shell("mkdir u && tar xzf '\(file)' -C u && diff -r u Documents")
    #expect(unpacked.outputText == "Only in Documents: .cache\n", "\(unpacked.summary)")
    try await documented.example("tar-home.sh Documents nas:/homes").failure(73, "exists")
  }

  @Test("tar-home.sh uploads nothing of a folder that is not there")
  func missingHome() async throws {
    let documented = try await Documented(box)
    try await documented.example("tar-home.sh Nowhere nas:/homes").refusal(65, "input")
    #expect(names(in: documented.server.alistFile("/homes")).isEmpty)
  }

  @Test("named-pipe.sh uploads what a program writes to a file")
  func pipe() async throws {
    let documented = try await Documented(box)
    try await documented.example("named-pipe.sh nas:/backup/shop.gz mariadb-dump -r {} shop").success()
    #expect(try await documented.unpacked("/backup/shop.gz") == "a dump of MariaDB\n")
    #expect(names(in: "\(box.path)/tmp").isEmpty)
  }

  @Test(
    "named-pipe.sh uploads nothing when the program fails or is not there, and does not wait for it",
    arguments: ["mariadb-dump -r {} shop", "mariadb-dump -r {} other", "no-such-program {}"])
  func failedPipe(command: String) async throws {
    let documented = try await Documented(box)
    try await documented.example("named-pipe.sh nas:/backup/shop.gz \(command)", environment: ["DUMP_STATUS": "3"]).refusal(65, "input")
    #expect(!exists(documented.server.alistFile("/backup/shop.gz")))
    #expect(names(in: "\(box.path)/tmp").isEmpty)
  }

  @Test("named-pipe.sh ends when the destination is refused")
  func refusedPipe() async throws {
    let documented = try await Documented(box)
    let run = try await documented.example("named-pipe.sh ./nowhere/shop.gz mariadb-dump -r {} shop")
    try run.failure(73, "rejected")
    #expect(!run.leftChild)
    #expect(names(in: "\(box.path)/tmp").isEmpty)
  }

  @Test("check-result.sh logs what succeeded", .enabled(if: Program.installed("jq") != nil, "jq is not installed"))
  func goodResult() async throws {
    let documented = try await Documented(box)
    let run = try await documented.shell("sluice nas:/backup/a ./b -- echo hello | '\(Document.folder)/examples/check-result.sh'")
    #expect(run.exit == 0, "\(run.summary)")
    let lines = run.outputText.split(separator: "\n").map { $0.drop { $0 != " " } }.sorted()
    #expect(lines.count == 2)
    #expect(lines.first?.hasPrefix(" ok ./b 6 bytes, ") == true, "\(run.summary)")
    #expect(lines.last?.hasPrefix(" ok nas:/backup/a 6 bytes, ") == true, "\(run.summary)")
  }

  @Test("check-result.sh alerts of what failed", .enabled(if: Program.installed("jq") != nil, "jq is not installed"))
  func badResult() async throws {
    let documented = try await Documented(box)
    let check = "ALERT='cat > alert' '\(Document.folder)/examples/check-result.sh'"
    let run = try await documented.shell("sluice ./b -- sh -c 'exit 3' | \(check)")
    #expect(run.exit != 0)
    #expect(run.outputText.contains(" FAILED ./b "))
    #expect(try String(decoding: contents("\(box.work)/alert"), as: UTF8.self) == "./b: the command sh exited with status 3\n")

    _ = try await documented.shell("echo x | sluice --retries 0 alist+http://127.0.0.1:1/x | \(check)")
    let alert = try String(decoding: contents("\(box.work)/alert"), as: UTF8.self)
    let id = try #require(box.spoolNames.first { $0.hasSuffix(".data") }?.dropLast(5))
    #expect(alert.hasSuffix("\nsend it later with: sluice held push \(id)\n"), "\(alert)")

    _ = try await documented.shell("sluice --no-such-option | \(check)")
    #expect(try String(decoding: contents("\(box.work)/alert"), as: UTF8.self) == "sluice gave no result\n")
  }

  @Test(
    "backup-age.sh says how old the newest backup is, and fails if that is more than a day",
    .enabled(if: Program.installed("jq") != nil, "jq is not installed"))
  func age() async throws {
    let documented = try await Documented(box)
    let age = { (hours: Int) in try await documented.example("backup-age.sh nas:/backup\(hours == 24 ? "" : " \(hours)")") }
    #expect(try await age(24).exit == 2)
    let time = Int(Date().timeIntervalSince1970) - 30 * 3600
    try await documented.shell("sluice --mtime \(time)000 nas:/backup/old.gz -- echo old").success()
    // None of them is a backup.
    for name in ["old.gz.sha256", ".new.gz.sluice-0a1b2c3d", "half.gz.part-00001", "half.gz.part-00002", "torn.gz.parts.json"] {
      try write([1], to: documented.server.alistFile("/backup/\(name)"))
    }
    let old = try await age(24)
    #expect(old.exit == 2 && old.outputText.wholeMatch(of: /CRITICAL: old.gz is 30(.\d)? hours old\n/) != nil, "\(old.summary)")
    let young = try await age(31)
    #expect(young.exit == 0 && young.outputText.wholeMatch(of: /OK: old.gz is 30(.\d)? hours old\n/) != nil, "\(young.summary)")
    try await documented.shell("echo new | sluice nas:/backup/new.gz").success()
    let new = try await age(24)
    #expect(new.exit == 0 && new.outputText == "OK: new.gz is 0 hours old\n", "\(new.summary)")
    try await documented.shell("echo newest | sluice --part-size 4 nas:/backup/newest.gz").success()
    #expect(try await age(24).outputText.hasPrefix("OK: newest.gz is 0"))
    let unknown = try await documented.example("backup-age.sh http://127.0.0.1:1/")
    #expect(unknown.exit == 3 && unknown.outputText.hasPrefix("UNKNOWN: "), "\(unknown.summary)")
  }

  @Test(
    "restore-drill.sh restores the newest dump and compares it with the live database",
    .enabled(if: Program.installed("jq") != nil, "jq is not installed"))
  func drill() async throws {
    let documented = try await Documented(box)
    let drill = { (environment: [String: String]) in
      let run = try await documented.example("restore-drill.sh nas:/backup shop orders", environment: environment)
      #expect(names(in: "\(box.path)/tmp").isEmpty && names(in: box.work).allSatisfy { !$0.hasPrefix("db-") }, "\(run.summary)")
      return run
    }
    let none = try await drill([:])
    #expect(none.exit == 66 && none.output.isEmpty, "\(none.summary)")
    try await documented.shell("sluice --mtime 1 -z nas:/backup/older.sql.gz -- echo nothing").success()
    try await documented.backUp()
    let run = try await drill([:])
    #expect(run.exit == 0, "\(run.summary)")
    let words = /restored nas:\/backup\/shop.sql.gz: \d+ bytes in [\d.]+ s, proven by \w+\norders has 100 rows in it, and 100 today\n/
    #expect(run.outputText.wholeMatch(of: words) != nil, "\(run.summary)")
    let fewer = try await drill(["LIVE_ROWS": "200"])
    #expect(fewer.exit == 1 && fewer.outputText.contains("100 rows in it, and 200 today"), "\(fewer.summary)")
    let file = documented.server.alistFile("/backup/shop.sql.gz")
    try write(contents(file).dropLast(5), to: file)
    let cut = try await drill([:])
    #expect(cut.exit == 65 && cut.output.isEmpty, "\(cut.summary)")
  }

  @Test("config.yaml names servers that can be used", arguments: ["nas:/x", "office:/x", "notes:data/x"])
  func config(destination: String) async throws {
    let documented = try await Documented(box)
    let text = documented.local(Document("examples/config.yaml").text)
      .replacing("\(documented.server.url)/alist", with: documented.server.url).replacing("username: backup", with: "username: admin")
      .replacing("type: siyuan", with: "type: siyuan\n    token: \(Loopback.token)")
    let file = try box.file("config.yaml", text, mode: 0o600)
    let run = try await documented.shell("echo hello | sluice \(destination)", environment: ["SLUICE_CONFIG": file])
    try run.success()
    #expect(run.errorText.isEmpty, "\(run.summary)")
  }

  @Test("the systemd service's commands upload a dump, then what was held before, but for an older dump")
  func service() async throws {
    let documented = try await Documented(box)
    let unit = Document("examples/sluice-backup.service").lines
    let config = try box.file("config.yaml", "remotes:\n  nas:\n    type: alist\n    url: \(documented.server.url)\n", mode: 0o600)
    try box.file("credentials/nas.token", Loopback.token, mode: 0o600)
    let environment = ["SLUICE_CONFIG": config, "CREDENTIALS_DIRECTORY": "\(box.work)/credentials"]
    for name in ["late", "backup/shop.sql.gz"] {
      let line = "echo late | sluice --retries 0 --no-preflight --timeout 1ms nas:/\(name)"
      let held = try await documented.shell(line, environment: environment)
      #expect(held.exit != 0, "\(held.summary)")
    }
    #expect(box.spoolNames.count == 4)
    for line in unit where line.hasPrefix("ExecStart") {
      let words = String(try #require(line.split(separator: "=", maxSplits: 1).last))
      let command = String(words.trimmingPrefix("-")).replacing("/usr/local/bin/", with: "")
      let run = try await documented.shell(command, environment: environment)
      #expect(run.exit == 0, "\(line)\n\(run.summary)")
    }
    #expect(box.spoolNames.count == 2)
    try #expect(contents(documented.server.alistFile("/late")) == Array("late\n".utf8))
    #expect(try await documented.unpacked("/backup/shop.sql.gz") == Documented.dump)
  }

  @Test("systemd takes the units", .enabled(if: Program.installed("systemd-analyze") != nil, "systemd-analyze is not installed"))
  func units() async throws {
    let documented = try await Documented(box)
    for name in ["sluice-backup.service", "sluice-backup.timer"] {
      try box.file(name, Document("examples/\(name)").text.replacing("/usr/local/bin/sluice", with: "\(box.work)/bin/sluice"))
    }
    let run = try await documented.shell("systemd-analyze verify ./sluice-backup.service ./sluice-backup.timer")
    #expect(run.exit == 0, "\(run.summary)")
    #expect(!run.errorText.contains("sluice-backup"), "\(run.summary)")
  }
}

extension Finished {
  /// The one result line of a script whose upload failed; other programs may have said something too.
  fileprivate func refusal(_ code: Int32, _ kind: String, _ location: SourceLocation = #_sourceLocation) throws {
    #expect(exit == code, "\(summary)", sourceLocation: location)
    #expect(try result(location)["error"]["kind"].text == kind, "\(summary)", sourceLocation: location)
  }
}
