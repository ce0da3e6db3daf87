/// Who sends a request.
struct AListUser: Sendable {
  enum Role: Int64, Sendable {
    case user = 0
    case guest = 1
    case admin = 2
  }

  let name: String
  let role: Role
  /// AList tells less about the owner of the static token than about somebody who has logged in.
  let isStaticToken: Bool
}
