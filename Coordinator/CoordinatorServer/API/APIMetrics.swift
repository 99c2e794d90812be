import HTTPTypes
import Metrics
import Synchronization

/// What the API measures of itself: how long each route takes, and how many requests are under way.
final class APIMetrics: Sendable {
    private struct Kind: Hashable {
        let route: String
        let method: String
        let code: Int
    }

    /// Methods are the caller's words; only these become labels.
    private static let known: Set<HTTPRequest.Method> = [.get, .put, .post, .delete]
    private let inflight = Meter(label: "coxswain_api_inflight_requests")
    /// No more than there are routes, methods and codes. Kept, for finding one by its labels takes longer than setting it.
    private let timers = Mutex<[Kind: Timer]>([:])

    /// Runs `answer`, and counts it under its route's pattern: paths as they were sent are not bounded.
    func measure<Answer>(
        _ method: HTTPRequest.Method, _ answer: () async -> (route: String, code: Int, Answer)
    ) async -> Answer {
        inflight.increment()
        let start = ContinuousClock.now
        let (route, code, result) = await answer()
        inflight.decrement()
        let kind = Kind(route: route, method: Self.known.contains(method) ? method.rawValue : "other", code: code)
        timer(of: kind).recordNanoseconds(Int64((ContinuousClock.now - start) / .nanoseconds(1)))
        return result
    }

    private func timer(of kind: Kind) -> Timer {
        timers.withLock { timers in
            if let known = timers[kind] { return known }
            let timer = Timer(
                label: "coxswain_api_request_duration_seconds",
                dimensions: [("route", kind.route), ("method", kind.method), ("code", String(kind.code))])
            timers[kind] = timer
            return timer
        }
    }
}
