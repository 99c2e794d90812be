// Members of a failure detector, ours or another's, that run over real sockets and are watched while they come, go and fail.

package protocol Crowd: Sendable {
    var count: Int { get }
    var sightings: Sightings { get }

    /// All but the first find the others through the first.
    func start(_ member: Int) throws
    /// As by `kill -9`: its sockets close, and nobody is told.
    func kill(_ member: Int) async
    /// It says good-bye.
    func leave(_ member: Int) async throws
    /// Neither reads nor sends nor thinks for so long.
    func stall(_ members: [Int], for time: Duration) async throws
    func end() async
}

extension Crowd {
    package var everybody: [Int] { Array(0..<count) }

    package func everybody(but member: Int) -> [Int] { everybody.filter { $0 != member } }

    /// Waits for what `attempt` gives; nil when it has not come in time.
    package func awaited<Value>(within seconds: Double, _ attempt: () -> Value?) async throws -> Value? {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < deadline {
            if let value = attempt() { return value }
            try await Task.sleep(for: .milliseconds(10))
        }
        return nil
    }

    /// Seconds until everybody believes everybody else to be up; nil when that does not come.
    package func whole(within seconds: Double) async throws -> Double? {
        let start = ContinuousClock.now
        return try await awaited(within: seconds) {
            sightings.isWhole(everybody) ? (ContinuousClock.now - start) / .seconds(1) : nil
        }
    }

    /// Makes a crowd, and ends it however the work ends.
    package static func with<Result>(
        _ make: () throws -> Self, _ work: (Self) async throws -> Result
    ) async throws -> Result {
        let crowd = try make()
        do {
            let result = try await work(crowd)
            await crowd.end()
            return result
        } catch {
            await crowd.end()
            throw error
        }
    }
}
