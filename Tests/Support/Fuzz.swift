import Foundation

/// How much the property, load and kill tests do, and where their randomness begins. The environment can ask for more than a change needs.
public enum Fuzz {
  /// `SLUICE_FUZZ_SEED`, else another one in each run; a failed property prints it.
  public static let seed = variable("SLUICE_FUZZ_SEED").flatMap { UInt64($0) } ?? .random(in: 0 ... .max)

  /// How many cases a property is held against: `SLUICE_FUZZ_CASES`, else `standard`.
  public static func cases(_ standard: Int) -> Int { number("SLUICE_FUZZ_CASES") ?? standard }

  /// A number of the environment; nil if it is not there.
  public static func number(_ name: String) -> Int? { variable(name).flatMap { Int($0) } }

  /// A generator for one property: the same for the same seed, whatever else ran.
  public static func generator(_ property: String) -> SeededGenerator {
    SeededGenerator(property.utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x0100_0000_01b3 })
  }

  private static func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }
}

extension SeededGenerator {
  /// `count` of `pieces`, one after the other.
  public mutating func text(of pieces: [String], _ count: Int) -> String {
    (0..<count).map { _ in pieces.randomElement(using: &self) ?? "" }.joined()
  }

  /// The bytes with a few of them changed, taken out, doubled or cut off.
  public mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &self) where !bytes.isEmpty {
      let place = Int.random(in: 0..<bytes.count, using: &self)
      switch Int.random(in: 0..<6, using: &self) {
      case 0: bytes[place] = UInt8.random(in: 0...255, using: &self)
      case 1: bytes.remove(at: place)
      case 2: bytes.insert(UInt8.random(in: 0...255, using: &self), at: place)
      case 3: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &self)
      case 4: bytes.insert(contentsOf: bytes[place...].prefix(Int.random(in: 1...16, using: &self)), at: place)
      default: bytes.removeLast(min(bytes.count - place, Int.random(in: 1...64, using: &self)))
      }
    }
    return bytes
  }
}
