// One HTTP exchange, with its failures told apart by what they mean for the caller: never sent, or sent and unanswered.

import AsyncHTTPClient
import FoundationEssentials
package import NIOCore
import NIOFoundationCompat
import NIOHTTP1
import NIOPosix
package import NIOSSL

package struct HTTPCalls: Sendable {
    package enum Method: String, Sendable {
        case get = "GET"
        case put = "PUT"
        case post = "POST"
        case delete = "DELETE"
    }

    package struct Answer: Sendable {
        package let status: Int
        /// The content, where it is JSON.
        package let body: JSONValue?
        package let content: ByteBuffer
        package let headers: [String: String]

        package init(status: Int, body: JSONValue?, content: ByteBuffer = ByteBuffer(), headers: [String: String] = [:]) {
            self.status = status
            self.body = body
            self.content = content
            self.headers = headers
        }
    }

    package enum Failure: Error, Hashable, Sendable {
        /// No connection was made: the request has had no effect.
        case notSent(String)
        /// The connection broke, or the time ran out, after it may have been sent.
        case unanswered(String)
    }

    /// More than any answer that this client asks for.
    private static let answerBytes = 64 * 1_024 * 1_024

    /// The client and its end. A library traps when its client is let go of unended; whoever leaves with an error and forgets
    /// `shutDown` shall see that error, and not the trap.
    private final class Owned: Sendable {
        let client: HTTPClient
        init(_ client: HTTPClient) { self.client = client }
        deinit { client.shutdown { _ in } }
    }

    package typealias Exchange =
        @Sendable (_ method: Method, _ url: String, _ headers: [(String, String)], _ body: String?, _ milliseconds: Int64)
        async throws(Failure) -> Answer

    private enum Carrier {
        case network(Owned)
        case closure(Exchange)
    }

    private let carrier: Carrier

    /// - Parameter tls: whom to trust, and what certificate to show if any.
    package init(tls: TLSConfiguration) {
        var configuration = HTTPClient.Configuration(tlsConfiguration: tls)
        configuration.timeout.connect = .seconds(2)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 128
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        // Nobody of ours redirects; a token follows nobody else's word.
        configuration.redirectConfiguration = .disallow
        carrier = .network(Owned(HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)))
    }

    /// Asks `answer` in place of the network.
    package init(answer: @escaping Exchange) { carrier = .closure(answer) }

    package func shutDown() async throws {
        if case .network(let owned) = carrier { try await owned.client.shutdown() }
    }

    /// - Parameter milliseconds: until the last byte of the answer.
    package func call(
        _ method: Method, _ url: String, headers: [(String, String)] = [], body: String? = nil, milliseconds: Int64
    ) async throws(Failure) -> Answer {
        let client: HTTPClient
        switch carrier {
        case .closure(let answer): return try await answer(method, url, headers, body, milliseconds)
        case .network(let owned): client = owned.client
        }
        var request = HTTPClientRequest(url: url)
        request.method = HTTPMethod(rawValue: method.rawValue)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body))
        }
        let whole = request
        do {
            return try await withThrowingTaskGroup(of: Answer?.self) { group in
                group.addTask { try await Self.exchange(whole, milliseconds, by: client) }
                group.addTask {
                    try await Task.sleep(for: .milliseconds(milliseconds + Self.grace))
                    return nil
                }
                defer { group.cancelAll() }
                guard let answer = try await group.next() ?? nil else { throw HTTPClientError.deadlineExceeded }
                return answer
            }
        } catch {
            throw Self.failure(error)
        }
    }

    /// The library's time ends with the head of the answer, and tells why no connection was made; so it is waited for that much longer.
    private static let grace: Int64 = 50

    private static func exchange(
        _ request: HTTPClientRequest, _ milliseconds: Int64, by client: HTTPClient
    ) async throws -> Answer {
        let response = try await client.execute(request, timeout: .milliseconds(max(1, milliseconds)))
        let buffer = try await response.body.collect(upTo: Self.answerBytes)
        var fields: [String: String] = [:]
        for header in response.headers { fields[header.name.lowercased()] = header.value }
        return Answer(
            status: Int(response.status.code), body: buffer.readableBytes == 0 ? nil : try? JSONValue(Data(buffer: buffer)),
            content: buffer, headers: fields)
    }

    /// Whether the request may have been carried out. Only what ends the set-up of a connection says for certain that it was not.
    static func failure(_ error: any Error) -> Failure {
        switch error {
        case let error as HTTPClientError
        where error == .connectTimeout || error == .getConnectionFromPoolTimeout || error == .tlsHandshakeTimeout:
            .notSent("\(error)")
        case is NIOConnectionError, NIOSSLError.handshakeFailed: .notSent("\(error)")
        case let error as IOError where error.errnoCode == 111: .notSent("\(error)")
        default: .unanswered("\(error)")
        }
    }
}
