/// What users may do, and how `/api/me` says it.
struct AListRights: Sendable {
  enum Bit: Int {
    case write = 3
    case rename = 4
    case move = 5
    case remove = 7
    case webDAVRead = 8
    case webDAVWrite = 9
  }

  private let flavor: Flavor
  private let given: Int?
  private let closed: [String]
  private let open: [String]
  private let home: String

  init(_ options: AccountOptions, _ flavor: Flavor) {
    self.flavor = flavor
    open = options.mayWrite
    home = options.cleanHome
    given = options.permission
    closed = options.readOnly ? ["/"] : options.noWrite
  }

  /// Whether a rule shuts everybody out of this path.
  func isClosed(_ path: String) -> Bool { closed.contains { Self.covers($0, path) } }

  /// Whether `--may-write` is for this path.
  func isOpen(_ path: String) -> Bool { open.contains { Self.covers($0, path) } }

  private static func covers(_ prefix: String, _ path: String) -> Bool {
    let clean = prefix.hasSuffix("/") ? String(prefix.dropLast()) : prefix
    return clean.isEmpty || path == clean || path.hasPrefix(clean + "/")
  }

  func has(_ bit: Bit) -> Bool { bits & (1 << bit.rawValue) != 0 }

  func mayWrite(_ path: String) -> Bool { has(.write, on: path) && !isClosed(path) }

  /// A role of AList gives all bits below its path, a rule of OpenList that of writing alone.
  private func has(_ bit: Bit, on path: String) -> Bool { has(bit) || isOpen(path) && (bit == .write || flavor == .alist) }

  func demand(_ bit: Bit, on path: String) throws {
    guard has(bit, on: path), !isClosed(path) else { throw Refusal(AList.envelope(403, "permission denied")) }
  }

  func me(_ user: AListUser) -> JSON {
    let role = reportedRole(user)
    let bits = Int64(bits)
    let isOpenList = flavor == .openlist
    var members: [(String, JSON)] = [
      ("id", .int(user.role == .guest ? (isOpenList ? 2 : 1) : (isOpenList ? 1 : 2))), ("username", .string(user.name)),
      ("password", .string("")), ("base_path", .string(home.isEmpty ? "/" : home)),
      ("role", isOpenList ? .int(role) : .array([.int(role)])),
      ("disabled", .bool(false)), ("permission", .int(bits)), ("sso_id", .string("")),
    ]
    if isOpenList { members.append(("allow_ldap", .bool(true))) }
    members.append(("otp", .bool(false)))
    if !isOpenList {
      let scopes = [("/", bits)] + open.map { ($0, Int64(65535)) }
      let entries = scopes.map { JSON.object([("path", .string($0.0)), ("permission", .int($0.1))]) }
      let roleName = role == 2 ? "admin" : role == 1 ? "guest" : "uploader"
      members.append(("role_names", user.isStaticToken ? .null : .array([.string(roleName)])))
      members.append(("permissions", user.isStaticToken ? .null : .array(entries)))
    }
    return .object(members)
  }

  /// Somebody with bits of his own is no admin; the static token always acts as one.
  func reportedRole(_ user: AListUser) -> Int64 {
    given != nil && user.role == .admin && !user.isStaticToken ? AListUser.Role.user.rawValue : user.role.rawValue
  }

  /// Without `--permission`: what a fresh server gives its admin. In OpenList that is not bit 9.
  private var bits: Int { given ?? (flavor == .openlist ? 29183 : 65535) }
}
