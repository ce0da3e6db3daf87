/// Names that nobody guesses: tokens, ids, files under way.
enum RandomText {
  private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

  static func make(_ count: Int) -> String {
    String((0..<count).map { _ in letters[Int.random(in: 0..<letters.count)] })
  }
}
