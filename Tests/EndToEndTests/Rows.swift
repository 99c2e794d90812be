import Foundation
import Model
import NIOHTTP1

/// Rows of one table, read and written as a client does: at the primary's gateway, following refusals.
struct Rows: Sendable {
    let cluster: Cluster
    let table: String
    let token: String

    enum Outcome: Sendable, Equatable {
        case acknowledged
        /// Not known whether it happened.
        case unknown
    }

    private func url(_ gateway: String, _ key: String, _ extra: String = "") -> String {
        "https://\(gateway)/v1/tables/\(table)/rows?key=\(key.percentEncoded)\(extra)"
    }

    private var headers: [(String, String)] { [("authorization", "Bearer \(token)")] }

    /// Repeats until a gateway acknowledges, or the time is over. It happens once under its key: an attempt that was given up, and arrives
    /// late, cannot undo what was written since.
    ///
    /// - Parameter more: other columns, as JSON behind a comma.
    func put(_ name: String, _ value: Int, more: String = "", within seconds: Double = 20) async throws -> Outcome {
        let body = "{\"name\":\"\(name)\",\"value\":\(value)\(more)}"
        var random = SystemRandomNumberGenerator()
        let now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
        let once = [("idempotency-key", IdempotencyKey(madeAt: now, random: &random).description)]
        let answer = try await atPrimary("[\"\(name)\"]", within: seconds) { gateway, key in
            try await cluster.clients.send(.PUT, url(gateway, key), body: body, headers: headers + once, within: 2)
        }
        guard let answer else { return .unknown }
        guard answer.status < 300 else { throw Failure("PUT \(name): \(answer.status) \(answer.text)") }
        return .acknowledged
    }

    /// The value, or nil where there is no such row.
    func get(_ name: String, within seconds: Double = 20) async throws -> Int? {
        let answer = try await atPrimary("[\"\(name)\"]", within: seconds) { gateway, key in
            try await cluster.clients.send(.GET, url(gateway, key), headers: headers, within: 2)
        }
        guard let answer else { throw Failure("GET \(name): nobody answers") }
        if answer.status == 404, answer.code != "TABLE_NOT_FOUND" { return nil }
        guard answer.status == 200 else { throw Failure("GET \(name): \(answer.status) \(answer.text)") }
        let fields = answer.json["row"].map { $0 } ?? .object(answer.json)
        return fields["value"]?.number.map { Int($0) }
    }

    /// Nil when nobody served it in time.
    private func atPrimary(
        _ key: String, within seconds: Double, _ request: (String, String) async throws -> HTTP.Answer
    ) async throws -> HTTP.Answer? {
        let deadline = ContinuousClock.now + .seconds(seconds * patience)
        var gateway: String?
        while ContinuousClock.now < deadline {
            if gateway == nil { gateway = try? await cluster.route(table, key: key)["gateway"]?.string }
            if let target = gateway {
                if let answer = try? await request(target, key) {
                    switch answer.status {
                    case 421, 429, 500...599: break
                    default: return answer
                    }
                }
                gateway = nil
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        return nil
    }
}
