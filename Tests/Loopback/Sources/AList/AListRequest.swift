/// The JSON body of a call.
struct AListRequest {
  let json: JSON
  let flavor: Flavor
  /// See `AList.home`.
  let home: String

  /// A member that holds a path, cleaned. A missing one is the root, as Go's empty string is.
  func path(_ name: String) throws -> String {
    AListPath.below(home, try AListPath.cleaned(json[name]?.string ?? "", flavor))
  }

  func text(_ name: String) -> String { json[name]?.string ?? "" }
}

extension AList {
  func request(_ exchange: Exchange) async throws -> AListRequest {
    let bytes = try await exchange.smallBody()
    guard !bytes.isEmpty else { throw Refusal(Self.envelope(400, "EOF")) }
    guard let json = JSON.parse(bytes), case .object = json else {
      throw Refusal(Self.envelope(400, "invalid character in the JSON"))
    }
    return AListRequest(json: json, flavor: flavor, home: home)
  }
}
