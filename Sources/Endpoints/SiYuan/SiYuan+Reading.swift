public import BytePath
import Synchronization

/// What is there.
extension SiYuan {
  /// The kernel tells the size of what lies below data/assets alone, and a hash of nothing.
  public func stat(_ path: String, fresh: Bool) async throws(Failure) -> Finding {
    guard let path = assets.place(of: path) else { return .untold(SiYuanAssets.nameless(path)) }
    return switch try await api.entry(path) {
    case .missing: .nothing
    case .folder: .stored(Stored(path, isDirectory: true))
    case .file: .stored(try await api.assetFacts(path) ?? Stored(path))
    }
  }

  /// Its call for a file gives all of it alone, and the kernel has it in memory for that.
  public func readsInParts(_ path: String) -> Bool { false }

  /// Reads what lies below data/assets piece by piece, as a browser does; all else the kernel has in memory as a whole for that.
  public func read(
    _ path: String, _ range: Range<Int64>?, of version: String?, into sink: any ByteSink
  ) async throws(Failure) -> Finding {
    guard let path = assets.place(of: path) else { return .untold(SiYuanAssets.nameless(path)) }
    if let version, let found = try await api.assetFacts(path)?.version, found != version {
      return .untold(.replaced(path))
    }
    return switch try await api.readAsset(path, range, into: sink) {
    case .untold: try await api.readFile(path, into: range.map { Slice($0, of: sink) } ?? sink)
    case let finding: finding
    }
  }

  public func list(_ directory: String, page: String?) async throws(Failure) -> Listing? {
    guard let members = try await api.members(of: directory) else { return nil }
    let entries = members.compactMap { member -> Stored? in
      guard let name = member["name"]?.string, !name.isEmpty, !name.contains("/") else { return nil }
      var stored = Stored(directory.isEmpty ? name : "\(directory)/\(name)", isDirectory: member["isDir"]?.bool)
      stored.modified = member["updated"]?.integer?.multipliedSaturated(by: 1000)
      return stored
    }
    guard entries.count == members.count else {
      throw Failure(.protocol, "\(api.origin) lists something in \(directory) whose name can't be read")
    }
    return Listing(entries)
  }
}

/// Hands on a part of what comes.
private final class Slice: ByteSink {
  private let range: Range<Int64>
  private let sink: any ByteSink
  private let position = Mutex<Int64>(0)

  /// - Parameter range: in bytes.
  init(_ range: Range<Int64>, of sink: any ByteSink) {
    self.range = range
    self.sink = sink
  }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    position.withLock { position in
      let here = position..<position + Int64(bytes.count)
      position = here.upperBound
      let wanted = range.clamped(to: here)
      if !wanted.isEmpty {
        let part = bytes[Int(wanted.lowerBound - here.lowerBound)..<Int(wanted.upperBound - here.lowerBound)]
        guard sink.take(UnsafeRawBufferPointer(rebasing: part)) else { return false }
      }
      return position < range.upperBound
    }
  }

  func isReady(_ go: @escaping @Sendable () -> Void) -> Bool { sink.isReady(go) }
}
