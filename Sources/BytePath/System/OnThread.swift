import Synchronization

/// Runs blocking work on a thread of its own and suspends the caller until it ends.
///
/// The work must end by itself, or by an `Interrupt`, or because a descriptor was closed at its other end: cancelling the task does not
/// interrupt a system call.
///
/// - Throws: what the work throws, or a failure of kind `spool` if no thread can be made.
public func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws(Failure) -> Value) async throws(Failure) -> Value {
  let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
    let started = startThread {
      let result: Result<Value, Failure>
      do throws(Failure) { result = .success(try work()) } catch { result = .failure(error) }
      continuation.resume(returning: result)
    }
    if let error = started { continuation.resume(returning: .failure(Failure(.spool, "cannot start a thread: \(error.words)"))) }
  }
  return try result.get()
}

/// As `onThread`, for work that asks from time to time whether its task has been cancelled.
public func onThread<Value: Sendable>(_ work: @escaping @Sendable (CancelFlag) throws(Failure) -> Value) async throws(Failure) -> Value {
  let flag = CancelFlag()
  let result = await withTaskCancellationHandler {
    do throws(Failure) {
      return Result<Value, Failure>.success(try await onThread { () throws(Failure) in try work(flag) })
    } catch {
      return .failure(error)
    }
  } onCancel: {
    flag.set()
  }
  return try result.get()
}

/// Tells a thread that its task was cancelled.
public final class CancelFlag: Sendable {
  private let flag = Atomic(false)
  public var isSet: Bool { flag.load(ordering: .relaxed) }
  func set() { flag.store(true, ordering: .relaxed) }
}

/// Starts a detached thread that runs `body`. Returns the error if there was none to be had; `body` does not run then.
@discardableResult
public func startThread(_ body: @escaping @Sendable () -> Void) -> SystemError? {
  let box = Unmanaged.passRetained(ThreadBody(body))
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
  defer { pthread_attr_destroy(&attributes) }
  #if canImport(Darwin)
    var thread: pthread_t?
    let code = pthread_create(&thread, &attributes, { runThread($0) }, box.toOpaque())
  #else
    var thread = pthread_t()
    let code = pthread_create(&thread, &attributes, { runThread($0) }, box.toOpaque())
  #endif
  guard code != 0 else { return nil }
  box.release()
  return SystemError("pthread_create", code)
}

private final class ThreadBody: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func runThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let argument { Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run() }
  return nil
}
