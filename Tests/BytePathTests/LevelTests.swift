import Testing

@testable import BytePath

@Suite("the level that follows the input")
struct LevelTests {
  @Test("rises to 9 when workers wait for blocks")
  func rises() {
    var control = LevelControl()
    let levels = (0..<10).map { _ in control.next(waiting: 0, wasAwaited: true, threads: 4) }
    #expect(levels == [2, 3, 4, 5, 6, 7, 8, 9, 9, 9])
  }

  @Test("falls to 1 when blocks wait for workers")
  func falls() {
    var control = LevelControl()
    while control.next(waiting: 0, wasAwaited: true, threads: 4) < 9 {}
    let levels = (0..<5).map { _ in control.next(waiting: 12, wasAwaited: false, threads: 4) }
    #expect(levels == [7, 5, 3, 1, 1])
  }

  @Test("stays when a producer has written much at once, and when all are busy and nothing waits")
  func stays() {
    var control = LevelControl()
    while control.next(waiting: 0, wasAwaited: true, threads: 4) < 5 {}
    #expect(control.next(waiting: 11, wasAwaited: false, threads: 4) == 5)
    #expect(control.next(waiting: 0, wasAwaited: false, threads: 4) == 5)
  }
}
