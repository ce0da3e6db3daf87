/// The names in a folder, without `.` and `..`, in no order.
///
/// - Parameter limit: no more than so many are read.
/// - Throws: a folder that can't be read, or one that can't be read to its end: a list with names missing would look like a whole one.
public func namesInDirectory(_ path: String, atMost limit: Int = .max) throws(SystemError) -> [String] {
  var opened = opendir(path)
  while opened == nil, errno == EINTR { opened = opendir(path) }
  guard let stream = opened else { throw SystemError("opendir", errno) }
  defer { closedir(stream) }
  var names: [String] = []
  while names.count < limit {
    errno = 0
    guard let entry = readdir(stream) else {
      if errno == EINTR { continue }
      guard errno == 0 else { throw SystemError("readdir", errno) }
      return names
    }
    let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
      tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) { String(cString: $0) }
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names
}
