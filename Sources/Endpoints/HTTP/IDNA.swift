import BytePath

/// Host names with letters outside ASCII, as servers and certificates know them: `xn--…` (RFC 5891, UTS 46).
///
/// The tables are libidn2's, which curl uses too, so that both mean the same host. It is looked for when there is such a name; hardly a system
/// is without it.
enum IDNA {
  /// `IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL` and `IDN2_OK` of idn2.h.
  private static let flags: CInt = 1 | 8
  private static let success: CInt = 0
  #if canImport(Darwin)
    private static let library = "libidn2.0.dylib"
  #else
    private static let library = "libidn2.so.0"
  #endif

  private typealias ToASCII = @convention(c) (UnsafePointer<CChar>, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, CInt) -> CInt
  private typealias Free = @convention(c) (UnsafeMutableRawPointer?) -> Void

  /// - Throws: `usage` if the name can't be one, or there is no libidn2.
  static func ascii(_ host: String) throws(Failure) -> String {
    guard !host.allSatisfy(\.isASCII) else { return host }
    let hint = "write it in its ASCII form, which begins with xn--"
    guard let handle = dlopen(library, RTLD_NOW | RTLD_LOCAL) else {
      throw Failure(.usage, "the host \(host) has letters outside ASCII, and \(library) is not installed", hint: hint)
    }
    defer { dlclose(handle) }
    guard let convert = dlsym(handle, "idn2_to_ascii_8z"), let release = dlsym(handle, "idn2_free") else {
      throw Failure(.usage, "the host \(host) has letters outside ASCII, and \(library) is too old", hint: hint)
    }
    var result: UnsafeMutablePointer<CChar>?
    let code = unsafeBitCast(convert, to: ToASCII.self)(host, &result, flags)
    defer { unsafeBitCast(release, to: Free.self)(result) }
    guard code == success, let result else { throw Failure(.usage, "the host \(host) is no valid name", hint: "check its letters") }
    return String(cString: result)
  }
}
