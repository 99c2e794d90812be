/// Time as a client sees it. Replaced in tests, where a request that lasts as long as it may takes no time.
package struct ClientClock: Sendable {
    package typealias Instant = ContinuousClock.Instant

    package let now: @Sendable () -> Instant
    /// Throws when the task is cancelled.
    package let sleep: @Sendable (_ end: Instant) async throws -> Void

    package static let continuous = ClientClock(now: { .now }) { try await Task.sleep(until: $0, clock: .continuous) }

    package init(now: @escaping @Sendable () -> Instant, sleep: @escaping @Sendable (_ end: Instant) async throws -> Void) {
        self.now = now
        self.sleep = sleep
    }

    /// Whole milliseconds until then, and none when it is over.
    func left(until end: Instant) -> Int64 { max(0, ControlClient.milliseconds(end - now())) }
}
