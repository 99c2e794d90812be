import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import ProcessKit

/// HTTPS with the cluster's authority as the only trusted one.
final class HTTP: Sendable {
    struct Answer: Sendable {
        let status: Int
        let headers: HTTPHeaders
        let body: Data

        var text: String { String(decoding: body, as: UTF8.self) }
        /// The body as a JSON object; empty when it is none.
        var json: [String: JSON] { (try? JSONDecoder().decode([String: JSON].self, from: body)) ?? [:] }
        var list: [JSON] { (try? JSONDecoder().decode([JSON].self, from: body)) ?? [] }
        var code: String { json["code"]?.string ?? "" }
    }

    private let client: HTTPClient
    /// Where it is not the one that all share.
    private let loops: MultiThreadedEventLoopGroup?

    /// - Parameters:
    ///   - identity: certificate and key files to show to servers.
    ///   - loops: whose sockets are used; ended with `close`.
    ///   - isPatient: whether a request waits for the next attempt where no connection can be had. The attempts come ever more seldom, up
    ///     to a minute apart: not for a member that is away for long, and is to be found as soon as it is back.
    init(
        authority: URL, identity: (certificate: URL, key: URL)? = nil, on loops: MultiThreadedEventLoopGroup? = nil,
        isPatient: Bool = true
    ) throws {
        self.loops = loops
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .file(authority.path)
        if let identity {
            tls.certificateChain = try NIOSSLCertificate.fromPEMFile(identity.certificate.path).map { .certificate($0) }
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: identity.key.path, format: .pem))
        }
        var configuration = HTTPClient.Configuration(tlsConfiguration: tls)
        configuration.timeout.connect = .seconds(2)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        configuration.connectionPool.retryConnectionEstablishment = isPatient
        client = HTTPClient(
            eventLoopGroupProvider: loops.map { .shared($0) } ?? .shared(MultiThreadedEventLoopGroup.singleton),
            configuration: configuration)
    }

    func send(
        _ method: HTTPMethod, _ url: String, body: String? = nil, headers: [(String, String)] = [], within seconds: Int64 = 5
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: url)
        request.method = method
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body {
            request.headers.replaceOrAdd(name: "content-type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body))
        }
        let response = try await client.execute(request, timeout: .seconds(seconds))
        let bytes = try await response.body.collect(upTo: 16 * 1_024 * 1_024)
        return Answer(status: Int(response.status.code), headers: response.headers, body: Data(bytes.readableBytesView))
    }

    func close() async {
        try? await client.shutdown()
        try? await loops?.shutdownGracefully()
    }
}

extension TestNetwork {
    /// An event loop whose sockets are those of a host.
    func loops(on host: String) async throws -> MultiThreadedEventLoopGroup {
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        try await loops.next().submit { try self.enter(host) }.get()
        return loops
    }
}

/// Any JSON value, for looking into answers.
enum JSON: Decodable, Hashable, Sendable {
    case null
    case boolean(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .boolean(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSON].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSON].self))
        }
    }

    subscript(name: String) -> JSON? { if case .object(let fields) = self { fields[name] } else { nil } }
    var array: [JSON] { if case .array(let values) = self { values } else { [] } }
    var number: Double? { if case .number(let value) = self { value } else { string.flatMap(Double.init) } }
    var string: String? {
        switch self {
        case .string(let value): value
        case .number(let value): value == value.rounded() ? String(Int64(value)) : String(value)
        case .null, .boolean, .array, .object: nil
        }
    }
}

extension String {
    /// For a query parameter.
    var percentEncoded: String {
        addingPercentEncoding(
            withAllowedCharacters: CharacterSet(charactersIn: "-._~").union(.alphanumerics.intersection(.ascii)))
            ?? self
    }
}

extension CharacterSet {
    fileprivate static let ascii = CharacterSet(charactersIn: Unicode.Scalar(0)..."\u{7F}")
}
