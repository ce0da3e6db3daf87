import Crypto

extension Digest {
  /// Lower-case hexadecimal.
  var hexText: String {
    let digits = Array("0123456789abcdef")
    return String(flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}
