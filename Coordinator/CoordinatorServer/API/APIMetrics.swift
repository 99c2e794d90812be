import HTTPTypes
import Metrics

/// What the API measures of itself: how long each route takes, and how many requests are under way.
struct APIMetrics: Sendable {
    /// Methods are the caller's words; only these become labels.
    private static let known: Set<HTTPRequest.Method> = [.get, .put, .post, .delete]
    private let inflight = Meter(label: "coxswain_api_inflight_requests")

    /// Runs `answer`, and counts it under its route's pattern: paths as they were sent are not bounded.
    func measure<Answer>(
        _ method: HTTPRequest.Method, _ answer: () async -> (route: String, code: Int, Answer)
    ) async -> Answer {
        inflight.increment()
        let start = ContinuousClock.now
        let (route, code, result) = await answer()
        inflight.decrement()
        Timer(
            label: "coxswain_api_request_duration_seconds",
            dimensions: [
                ("route", route), ("method", Self.known.contains(method) ? method.rawValue : "other"), ("code", String(code)),
            ]
        ).recordNanoseconds(Int64((ContinuousClock.now - start) / .nanoseconds(1)))
        return result
    }
}
