// The coordinators' API: any member answers, so any member is asked.

package actor ControlClient {
    private let calls: HTTPCalls
    private var endpoints: [String]
    private let token: String?
    private let clock: ClientClock

    /// - Parameters:
    ///   - endpoints: base addresses, such as `https://127.0.0.1:7401`; the one that answered last is asked first.
    ///   - token: an operator token to show, where `calls` shows no certificate.
    package init(endpoints: [String], calls: HTTPCalls, token: String? = nil, clock: ClientClock = .continuous) {
        self.token = token
        self.clock = clock
        self.endpoints = endpoints.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
        self.calls = calls
    }

    package struct Answer: Sendable {
        package let status: Int
        package let body: JSONValue
        /// The operation that a 202 started.
        package let location: String?
    }

    /// Asks until one answers or the time is up. A change carries an idempotency key, so that asking again cannot do it twice.
    ///
    /// - Parameter path: below `/api/v1`, encoded; see `encode(_:)`.
    package func call(
        _ method: HTTPCalls.Method, _ path: String, body: JSONValue? = nil, headers: [(String, String)] = [],
        milliseconds: Int64 = 30_000
    ) async throws(ClientError) -> Answer {
        var fields = headers
        if let token { fields.append(("authorization", "Bearer \(token)")) }
        if method != .get, !fields.contains(where: { $0.0 == "idempotency-key" }) {
            fields.append(("idempotency-key", Self.randomKey()))
        }
        let deadline = clock.now() + .milliseconds(milliseconds)
        var failure = ClientError.unreachable("no endpoint is known")
        var pause: Int64 = 50
        while true {
            for endpoint in endpoints {
                let left = clock.left(until: deadline)
                guard left > 0 else { throw failure }
                let answer: HTTPCalls.Answer
                do throws(HTTPCalls.Failure) {
                    answer = try await calls.call(
                        method, endpoint + "/api/v1" + path, headers: fields, body: body?.text, milliseconds: min(left, 10_000))
                } catch {
                    // What a member answered explains more than that another one is down.
                    if case .refused = failure { continue }
                    failure = .unreachable("\(endpoint): \(error)")
                    continue
                }
                prefer(endpoint)
                if (200..<300).contains(answer.status) {
                    return Answer(status: answer.status, body: answer.body ?? .null, location: answer.headers["location"])
                }
                failure = .refused(Problem(status: answer.status, body: answer.body))
                // A conflict is retryable too, but under this key it would get the first answer again: that is the caller's choice.
                guard answer.status == 503 || answer.status == 429 else { throw failure }
            }
            let next = clock.now() + .milliseconds(pause)
            guard !endpoints.isEmpty, next < deadline else { throw failure }
            do { try await clock.sleep(next) } catch { throw failure }
            pause = min(pause * 2, 1_000)
        }
    }

    private func prefer(_ endpoint: String) {
        guard let place = endpoints.firstIndex(of: endpoint), place > 0 else { return }
        endpoints.swapAt(0, place)
    }

    private static func randomKey() -> String {
        String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
    }

    static func milliseconds(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1_000 + duration.components.attoseconds / 1_000_000_000_000_000
    }

    /// Percent-encodes one part of a path or query.
    package static func encode(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default: encoded += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return encoded
    }

    // MARK: - What is asked often

    /// The gateways of the nodes that are not known to have failed.
    package func gateways(of clusterID: String, milliseconds: Int64 = 5_000) async throws(ClientError) -> [String] {
        let answer = try await call(.get, "/clusters/\(Self.encode(clusterID))/nodes", milliseconds: milliseconds)
        let nodes = answer.body.array ?? answer.body["nodes"]?.array ?? answer.body["items"]?.array ?? []
        return nodes.filter { $0["status"]?.string?.lowercased() != "failed" }.compactMap { $0["endpoint"]?.string }
    }

    /// A data token for one table.
    package func token(
        table: String, principal: String, seconds: Int, milliseconds: Int64 = 10_000
    ) async throws(ClientError) -> String {
        let answer = try await call(
            .post, "/tables/\(Self.encode(table))/credentials",
            body: .object(["principal_arn": .string(principal), "ttl_seconds": .number(seconds)]), milliseconds: milliseconds)
        guard let token = answer.body["token"]?.string else { throw .unexpectedAnswer("credentials without a token") }
        return token
    }
}
