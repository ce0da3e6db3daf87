import Crypto

/// fs/get and fs/list.
extension AList {
  func get(_ exchange: Exchange) async throws -> Answer {
    _ = try accounts.user(of: exchange)
    let path = try await request(exchange).path("path")
    let known = stale.facts(path)
    guard let facts = known ?? folder.facts(path) else { return Self.envelope(500, missing(path)) }
    var members = describe(path, facts, withHashes: known == nil)
    members.append(("raw_url", .string(facts.isDirectory ? "" : origin.value + "/p" + Self.escaped(path) + "?sign=loopback:0")))
    members += [("readme", .string("")), ("header", .string("")), ("provider", .string(behaviour.provider))]
    if !isOpenList { members.append(("web_proxy", .bool(false))) }
    return Self.success(.object(members + [("related", .null)]))
  }

  func list(_ exchange: Exchange) async throws -> Answer {
    _ = try accounts.user(of: exchange)
    let request = try await request(exchange)
    let path = try request.path("path")
    let isRefresh = request.json["refresh"]?.bool ?? false
    if isRefresh {
      guard rights.mayWrite(path) else { return Self.envelope(403, "Refresh without permission") }
      stale.refresh(path)
    }
    guard let facts = folder.facts(path) else {
      return Self.envelope(500, "failed get objs: failed get dir: " + missing(path))
    }
    guard facts.isDirectory else { return Self.envelope(500, "failed get objs: not a folder") }
    let names = try storage.told { () throws(FileError) in try folder.names(path) }
    let shown = page(of: names, request.json).compactMap { name -> JSON? in
      let entry = AListPath.joined(path, name)
      guard let facts = folder.facts(entry) else { return nil }
      let label: [(String, JSON)] = isOpenList ? [] : [("label_list", .null)]
      return .object(describe(entry, facts) + label)
    }
    var members: [(String, JSON)] = [
      ("content", shown.isEmpty ? .null : .array(shown)), ("total", .int(Int64(names.count))), ("readme", .string("")),
      ("header", .string("")),
      // OpenList's word says only that no rule shuts the user out, AList's that he may upload here.
      ("write", .bool(isOpenList ? !rights.isClosed(path) : rights.mayWrite(path))),
    ]
    if isOpenList {
      members.append(("write_content_bypass", .bool(rights.isOpen(path))))
    } else {
      members += pages(of: names.count, request.json)
    }
    // OpenList names the driver in fs/get alone (server/handles/fsread.go, FsList).
    return Self.success(.object(members + [("provider", .string(isOpenList ? "unknown" : behaviour.provider))]))
  }

  /// AList tells which part of the whole this is.
  private func pages(of total: Int, _ request: JSON) -> [(String, JSON)] {
    let size = min(request["per_page"]?.int.flatMap { $0 == 0 ? nil : $0 } ?? 200, 500)
    let page = max(1, request["page"]?.int ?? 1)
    let count = size > 0 ? (total + size - 1) / size : 1
    return [
      ("filtered_total", .int(Int64(total))), ("page", .int(Int64(page))), ("per_page", .int(Int64(size))),
      ("has_more", .bool(page < count)),
      ("pages_total", .int(Int64(count))),
    ]
  }

  /// The part of the names that `page` and `per_page` ask for. OpenList lists everything by default, AList 200.
  private func page(of names: [String], _ request: JSON) -> [String] {
    var size = request["per_page"]?.int ?? 0
    if size == 0 { size = isOpenList ? -1 : 200 }
    guard size > 0 else { return names }
    if !isOpenList { size = min(size, 500) }
    let start = (max(1, request["page"]?.int ?? 1) - 1).multipliedReportingOverflow(by: size)
    return start.overflow ? [] : Array(names.dropFirst(start.partialValue).prefix(size))
  }

  private func describe(_ path: String, _ facts: FileFacts, withHashes: Bool = true) -> [(String, JSON)] {
    let hashes = behaviour.hashes && !facts.isDirectory && withHashes ? JSON.object(self.hashes(path)) : .null
    let extra: [(String, JSON)] =
      isOpenList ? [] : [("id", .string("")), ("path", .string(folder.real(path))), ("virtual_path", .string(path))]
    // AList's Local driver knows no size of a folder; OpenList's tells the directory's own.
    let size = facts.isDirectory && !isOpenList ? 0 : facts.size
    return extra + [
      ("name", .string(path == "/" ? "root" : AListPath.name(path))), ("size", .int(size)), ("is_dir", .bool(facts.isDirectory)),
      ("modified", .string(facts.modified.rfc3339)), ("created", .string(facts.changed.rfc3339)),
      ("sign", .string(facts.isDirectory ? "" : "loopback:0")), ("thumb", .string("")),
      ("type", .int(path.hasSuffix(".txt") ? 4 : 0)), ("hashinfo", .string(hashes.text)), ("hash_info", hashes),
    ]
  }

  func missing(_ path: String) -> String {
    let parent = folder.facts(AListPath.parent(path))
    if isOpenList {
      let reason = parent?.isDirectory == false ? "stat \(folder.real(path)): not a directory" : "object not found"
      return "failed to get obj: " + reason
    }
    guard let parent else { return "failed get parent list: failed get dir: object not found" }
    return parent.isDirectory ? "object not found" : "failed get parent list: not a folder"
  }

  func hashes(_ path: String) -> [(String, JSON)] {
    var md5 = Insecure.MD5()
    var sha1 = Insecure.SHA1()
    var sha256 = SHA256()
    let descriptor = open(folder.real(path), O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
    defer { chunk.deallocate() }
    while case let count = read(descriptor, chunk.baseAddress, chunk.count), count > 0 {
      let bytes = UnsafeRawBufferPointer(rebasing: chunk[..<count])
      md5.update(bufferPointer: bytes)
      sha1.update(bufferPointer: bytes)
      sha256.update(bufferPointer: bytes)
    }
    return [
      ("md5", .string(md5.finalize().hexText)), ("sha1", .string(sha1.finalize().hexText)),
      ("sha256", .string(sha256.finalize().hexText)),
    ]
  }

  static func escaped(_ path: String) -> String {
    let kept = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/".utf8)
    let digits = Array("0123456789ABCDEF")
    return path.utf8.map {
      kept.contains($0) ? String(UnicodeScalar($0)) : "%" + String([digits[Int($0 >> 4)], digits[Int($0 & 15)]])
    }.joined()
  }
}
