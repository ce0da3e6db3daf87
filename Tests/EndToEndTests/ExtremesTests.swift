import BytePath
import Foundation
import Support
import Testing

@testable import sluice

/// Numbers that nobody means, from servers, arguments, file systems, jobs and plugins: each run ends in order, and none by a trap.
@Suite(.sandboxed)
struct ExtremesTests {
  private static let numbers = [
    "-9223372036854775809", "-9223372036854775808", "-1", "0", "1", "999", "4294967296", "9007199254740993", "9223372036854775807",
    "9223372036854775808", "18446744073709551615", "99999999999999999999999999", "1e18", "1e308", "-1e308", "1e400", "0.1", "null", "\"9\"",
    "[]", "true",
  ]
  private static let statuses: Set<Int32> = [0, 64, 65, 69, 73, 74, 76, 77, 78]

  private let box = Sandbox.here

  /// Replaces one of the marked numbers of a text, and leaves the others as they are.
  private func damaged(_ text: String, _ generator: inout SeededGenerator) -> String {
    let marks = text.ranges(of: #/‹[^›]*›/#)
    guard let mark = marks.randomElement(using: &generator) else { return text }
    let number = ExtremesTests.numbers.randomElement(using: &generator) ?? "0"
    var text = text
    text.replaceSubrange(mark, with: number)
    return text.replacing("‹", with: "").replacing("›", with: "")
  }

  private func expectOrder(_ run: Finished, _ what: String, _ location: SourceLocation = #_sourceLocation) {
    let isInOrder = run.exit.map(ExtremesTests.statuses.contains) ?? false
    #expect(isInOrder && !run.wasTooSlow, "seed \(Fuzz.seed): \(what): \(run.summary)", sourceLocation: location)
  }

  /// What each kind of server says, by how the target of the request begins, with its numbers marked.
  private static let answers: [String: [(target: String, answer: String)]] = [
    "alist": [
      ("/api/me", #"{"code":‹200›,"message":"success","data":{"id":‹1›,"username":"admin","role":‹2›,"permission":‹65535›}}"#),
      ("/api/public/settings", #"{"code":‹200›,"message":"success","data":{"multipart_enabled":"true","multipart_chunk_size":"‹10›"}}"#),
      ("/api/fs/list", #"{"code":‹200›,"message":"success","data":{"total":‹0›,"write":true,"provider":"Quark"}}"#),
      (
        "/api/fs/get",
        #"{"code":‹200›,"message":"success","data":{"name":"x","size":‹2097153›,"is_dir":false,"provider":"Quark","hash_info":null}}"#
      ),
      (
        "/api/fs/multipart/init",
        #"{"code":‹200›,"message":"","data":{"upload_id":"a","state":"receiving","chunk_size":‹1048576›,"total_chunks":‹3›,"received":[[‹0›,‹0›]],"frontier":‹1›,"storage_progress":‹1.5›}}"#
      ),
      (
        "/api/fs/multipart",
        #"{"code":‹200›,"message":"","data":{"upload_id":"a","state":"completed","chunk_size":‹1048576›,"total_chunks":‹3›,"received":[[‹0›,‹2›]],"storage_progress":‹100›}}"#
      ),
      ("/api/fs/put", #"{"code":‹200›,"message":"success","data":{"task":{"id":"t","name":"n","state":‹1›,"progress":‹50.5›}}}"#),
      ("/api/task/upload/info", #"{"code":‹200›,"message":"success","data":{"id":"t","state":‹2›,"progress":‹100›,"total_bytes":‹5›}}"#),
      ("/", #"{"code":‹200›,"message":"success","data":[]}"#),
    ],
    "siyuan": [
      ("/api/system/version", #"{"code":‹0›,"msg":"","data":"3.7.3"}"#),
      ("/api/file/readDir", #"{"code":‹0›,"msg":"","data":[{"isDir":false,"name":"x","updated":‹1700000000›,"size":‹2097153›}]}"#),
      ("/api/asset/statAsset", #"{"code":‹0›,"msg":"","data":{"size":‹2097153›,"updated":‹1700000000000›}}"#),
      ("/", #"{"code":‹0›,"msg":"","data":{"size":‹2097153›}}"#),
    ],
    "dav": [
      (
        "/",
        "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/x</D:href><D:propstat><D:prop><D:resourcetype/>"
          + "<D:getcontentlength>‹2097153›</D:getcontentlength></D:prop><D:status>HTTP/1.1 ‹200› OK</D:status></D:propstat></D:response>"
          + "</D:multistatus>"
      )
    ],
    "http": [("/", "‹0›")],
    "s3": [
      (
        "/b/k?uploadId",
        "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>‹1›</NextPartNumberMarker><Part><PartNumber>‹1›</PartNumber>"
          + "<ETag>\"a\"</ETag><Size>‹5242880›</Size></Part></ListPartsResult>"
      ),
      ("/", "<R><UploadId>‹1›</UploadId></R>"),
    ],
  ]

  @Test("numbers in the answers of a server end no run but in order", arguments: ["alist", "siyuan", "dav", "http", "s3"])
  func servers(kind: String) async throws {
    var generator = Fuzz.generator("extreme servers \(kind)")
    let file = try box.file("in", [UInt8](repeating: 1, count: (2 << 20) + 1))
    for _ in 0..<Fuzz.cases(14) {
      let answers = (ExtremesTests.answers[kind] ?? []).map { ($0.target, damaged($0.answer, &generator)) }
      let head = damaged("Retry-After: ‹0›\r\nX: ‹0›", &generator)
      let server = try box.scripted { exchange in
        let request = exchange.request
        let body = answers.first { request.target.hasPrefix($0.0) }?.1 ?? ""
        let isList = ["PROPFIND"].contains(request.method)
        if request.method == "HEAD" {
          exchange.send("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: \(body.utf8.count)\r\n\(head)\r\n\r\n")
        } else {
          exchange.answer(
            body, status: isList ? "207 Multi-Status" : "200 OK", headers: head.components(separatedBy: "\r\n") + ["ETag: \"a\""])
        }
      }
      let options = [["--no-preflight", "--verify"], ["--verify"], []].randomElement(using: &generator) ?? []
      let endpoint: [String]
      switch kind {
      case "alist":
        let mode = [["-o", "chunked=1M"], ["-o", "as-task", "-o", "wait"], []].randomElement(using: &generator) ?? []
        endpoint = mode + ["alist+http://\(server.authority)/d/x"]
      case "siyuan": endpoint = ["siyuan+http://\(server.authority)/data/x"]
      case "dav": endpoint = ["dav+http://\(server.authority)/x"]
      case "s3": endpoint = ["-o", "part-size=5M", "s3://b/k"]
      default: endpoint = ["http://\(server.authority)/x"]
      }
      var client = box.client(
        options + ["--no-hold", "--retries", "1", "--timeout", "3s", "--retry-max-time", "3s", "--input", file] + endpoint,
        environment: [
          "AWS_ENDPOINT_URL": "http://\(server.authority)", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
        ])
      client.limit = .seconds(30)
      client.measuresMemory = true
      let running = try box.start(client)
      // A task that is said to run on is followed as long as it does.
      let ends = Task {
        try await Task.sleep(for: .seconds(4))
        running.signal(SIGTERM)
      }
      let run = await running.finish()
      ends.cancel()
      server.stop()
      if run.exit != 143 { expectOrder(run, "\(endpoint): \(answers)") }
      #expect(run.peakKiB < 100 << 10, "seed \(Fuzz.seed): \(endpoint): \(answers): \(run.peakKiB) KiB")
    }
  }

  @Test("numbers in arguments are taken or refused")
  func arguments() async throws {
    var generator = Fuzz.generator("extreme arguments")
    let server = try await box.loopback()
    let s3 = try ScriptedS3(box)
    let options: [([String], String)] = [
      (["--retries"], ""), (["--retry-max-time"], ""), (["--timeout"], ""), (["--connect-timeout"], ""), (["--idle-timeout"], ""),
      (["--answer-timeout"], ""), (["--check", "true", "--check-timeout"], ""), (["--limit-rate"], ""), (["--min-size"], ""),
      (["--max-spool"], ""), (["--part-size"], ""), (["--max-spool", "9T", "--part-size"], ""), (["-z", "--threads"], ""),
      (["-z", "--level"], ""), (["--mtime"], ""), (["-o"], "chunked="), (["-o"], "part-size="), (["-o"], "concurrency="),
    ]
    let values = [
      "0", "1", "-1", "3", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1e309", "nan", "inf", "999999999s",
      "0.0005s",
      "999999999999999999999d", "8388607T", "8388608T", "8191.999T", "9007199254740993", "0.0000000001", "1024", "1025",
      "999999-01-01T00:00:00Z",
    ]
    for _ in 0..<Fuzz.cases(60) {
      let (option, prefix) = options.randomElement(using: &generator) ?? ([], "")
      let value = values.randomElement(using: &generator) ?? "0"
      let destination = prefix == "chunked=" ? server.alist("/x") : prefix.isEmpty ? server.plain("/x") : "s3://b/k"
      var client = box.client(
        option.dropLast() + ["\(option.last ?? "")" + (prefix.isEmpty ? "=\(value)" : ""), prefix + value].prefix(prefix.isEmpty ? 1 : 2)
          + ["--no-hold", "--progress", "json", destination],
        input: .bytes([1, 2, 3]), environment: s3.environment)
      client.limit = .seconds(30)
      expectOrder(try await box.start(client).finish(), "\(client.arguments)")
    }
  }

  @Test("numbers in the job of a held spool end no command but in order")
  func jobs() async throws {
    let server = try await box.loopback("--on", "/plain/x", "--status", "503")
    let failed = try await box.sluice(
      "--no-preflight", "--mtime", "77777", "--retries", "0", server.plain("/x"), input: Array("bytes".utf8))
    let id = try #require(try failed.result()["held"].text, "\(failed.summary)")
    let job = "\(box.spool)/\(id).json"
    let valid = String(decoding: try contents(job), as: UTF8.self)
    let keys = valid.matches(of: #/"(\w+)":-?\d+/#)
    #expect(keys.count >= 4, "\(valid)")
    var generator = Fuzz.generator("extreme jobs")
    for key in keys {
      for number in ExtremesTests.numbers.shuffled(using: &generator).prefix(Fuzz.cases(4)) {
        let damaged = valid.replacing(key.output.0, with: "\"\(key.output.1)\":\(number)")
        try write(Array(damaged.utf8), to: job, mode: 0o600)
        for command in [["held"], ["held", "push", "--retries", "0", id]] {
          expectOrder(try await box.start(box.client(command)).finish(), "\(command): \(damaged)")
        }
        #expect(box.spoolNames.contains("\(id).data"), "\(damaged)")
      }
    }
  }

  @Test(
    "numbers of clients do not end the loopback server", .enabled(if: Program.installed("curl") != nil, "curl is not installed"))
  func loopback() async throws {
    let server = try await box.loopback("--multipart", "--permission", "65535")
    let curl = "curl -s --noproxy '*' -o answer -w '%{http_code} ' -H 'Authorization: \(Loopback.token)'"
    for number in ExtremesTests.numbers.filter({ Int64($0) != nil }) {
      let run = try await box.shell(
        """
        \(curl) -u admin:\(Loopback.password) -T /dev/null -H 'X-OC-Mtime: \(number)' \(server.url)/dav/x
        \(curl) -T /dev/null -H 'File-Path: /y' -H 'Last-Modified: \(number)' \(server.url)/api/fs/put
        \(curl) -X POST -H 'File-Path: /z' -H 'X-File-Size: \(number)' -H 'X-Chunk-Size: \(number)' \(server.url)/api/fs/multipart/init
        id=$(sed -n 's/.*"upload_id":"\\([^"]*\\)".*/\\1/p' answer)
        \(curl) -T /dev/null -H "X-Upload-Id: $id" -H 'X-Chunk-Index: \(number)' \(server.url)/api/fs/multipart/chunk
        \(curl) -H 'Content-Type: application/json' -d '{"path":"/","page":\(number),"per_page":\(number)}' \(server.url)/api/fs/list
        \(curl) -F path=data/t -F isDir=false -F modTime=\(number) -F file=@/dev/null \(server.url)/api/file/putFile
        \(curl) -H 'Content-Type: application/json' -d '{"path":"data"}' \(server.url)/api/file/readDir
        """)
      #expect(!run.outputText.contains("000"), "\(number): \(run.summary)")
    }
  }

  /// A file of as many bytes as a file can have, and of the last time that there is, where the file system has room for that; nil elsewhere.
  private func hugeFile() throws -> (path: String, remove: () -> Void)? {
    let path = "/dev/shm/sluice-test-\(UUID().uuidString)"
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    let times = [timespec(tv_sec: .max, tv_nsec: 0), timespec(tv_sec: .max, tv_nsec: 999_999_999)]
    guard ftruncate(descriptor, .max) == 0, futimens(descriptor, times) == 0 else {
      unlink(path)
      return nil
    }
    return (path, { unlink(path) })
  }

  @Test("a file of 8 EiB from the end of time is refused or told of in order")
  func file() async throws {
    guard let (path, remove) = try hugeFile() else { return }
    defer { remove() }
    let server = try box.scripted { exchange in
      // Nobody waits for the body.
      exchange.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
      exchange.close()
    }
    let s3 = try ScriptedS3(box)
    let common = ["--no-preflight", "--no-sha256", "--retries", "0", "--timeout", "10s", "--progress", "json", "--input", path]
    for destination in ["http://\(server.authority)/x", "siyuan+http://\(server.authority)/data/x", "dav+http://\(server.authority)/x"] {
      let run = try await box.start(box.client(common + [destination])).finish()
      #expect([69, 73].contains(run.exit), "\(destination): \(run.summary)")
    }
    let tooLong = try await box.start(box.client(common + ["s3://b/k"], environment: s3.environment)).finish()
    try tooLong.failure(73, "rejected")
    #expect(tooLong.errorText.contains("--part-size"), "\(tooLong.summary)")
    // From its end there is nothing left to be read, or less than nothing.
    let rest = try await box.shell("exec 0<'\(path)'; '\(Program.built("sluice"))' --limit-rate 1k --min-size 0 --dry-run ./out")
    expectOrder(rest, "standard input")
  }

  @Test("progress of any number is shown in some way", arguments: ["json", "always"])
  func progress(way: String) async throws {
    let lines = ExtremesTests.numbers.map { "echo '{\"progress\":\($0)}'; sleep 0.02" }.joined(separator: "\n")
    try box.plugin("store", put: "echo '{\"progress\":9223372036854775807}'; sleep 0.6\n\(lines)")
    let run = try await box.start(box.client(["--progress", way, "store:x"], input: .bytes([1, 2, 3]), environment: box.plugins)).finish()
    try run.success()
  }

  @Test("waits, rates and lines of progress of any numbers are some")
  func figures() {
    var generator = Fuzz.generator("figures")
    let edges: [Int64] = [.min, -1, 0, 1, 1 << 53, .max - 1, .max]
    for _ in 0..<Fuzz.cases(2000) {
      let number =
        Bool.random(using: &generator) ? edges.randomElement(using: &generator) ?? 0 : Int64.random(in: .min ... .max, using: &generator)
      let value = [Double(number), Double(number) * 1e10, -Double(number), .infinity, .nan].randomElement(using: &generator) ?? 0
      _ = (ProgressLine.size(number), ProgressLine.rate(value), ProgressLine.time(abs(value.isNaN ? 0 : value)))
      _ = ProgressLine.json(phase: "upload", destination: "d", number, total: number, object: number, value, serverPercent: 1)
      var failure = Failure(.server, "x", retryable: true)
      failure.retryAfter = .seconds(max(0, number))
      let attempts = max(1, Int(number))
      let policy = RetryPolicy(limit: .max - 1, longest: Bool.random(using: &generator) ? .seconds(max(0, number)) : nil)
      if let wait = policy.wait(after: attempts, failure, since: .now) { #expect(wait >= .zero) }
      for text in [
        "\(number)", "\(value)", "\(number)k", "\(value)T", "\(number)d", "\(number)-01-01T00:00:00Z", "2026-01-01T00:00:00.\(number)Z",
      ] {
        if let size = Size(argument: text) { #expect(size.bytes >= 0, "seed \(Fuzz.seed): \(text)") }
        if let span = TimeSpan(argument: text) { #expect(span.duration > .zero, "seed \(Fuzz.seed): \(text)") }
        if let stamp = Timestamp(argument: text) { #expect(stamp.milliseconds >= 0, "seed \(Fuzz.seed): \(text)") }
      }
    }
  }
}
