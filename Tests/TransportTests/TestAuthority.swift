import Foundation
import Logging
import Model
import NIOSSL
import Synchronization
import Transport

/// A certificate authority of its own in a folder of its own, for one test.
struct TestAuthority {
    let clusterName: String
    let cluster: ClusterID
    private let folder: URL

    init(clusterName: String = "demo", cluster: String = "0123456789abcdef0123456789abcdef") throws {
        self.clusterName = clusterName
        self.cluster = try ClusterID(cluster)
        folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("links-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority"
        )
    }

    private func openssl(_ arguments: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments.split(separator: " ").map(String.init)
        process.currentDirectoryURL = folder
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(command: arguments) }
    }

    struct Failure: Error { let command: String }

    /// An endpoint whose certificate says `role/certified`, and which says that it is `name`.
    func endpoint(_ name: String, role: String = "node", certified: String? = nil, says other: ClusterID? = nil) throws
        -> LinkEndpoint
    {
        let file = UUID().uuidString
        let uri = "spiffe://\(clusterName)/\(role)/\(certified ?? name)"
        try "subjectAltName=URI:\(uri)\nbasicConstraints=CA:FALSE\n"
            .write(to: folder.appendingPathComponent("\(file).ext"), atomically: true, encoding: .utf8)
        try openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout \(file).key -out \(file).csr -subj /CN=x")
        try openssl(
            "x509 -req -in \(file).csr -CA ca.crt -CAkey ca.key -CAcreateserial -out \(file).crt -days 1 -extfile \(file).ext")
        func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
        let certificate = try NIOSSLCertificate.fromPEMFile(path("\(file).crt")).map { NIOSSLCertificateSource.certificate($0) }
        let key = try NIOSSLPrivateKey(file: path("\(file).key"), format: .pem)
        var server = TLSConfiguration.makeServerConfigurationWithMTLS(
            certificateChain: certificate, privateKey: .privateKey(key), trustRoots: .file(path("ca.crt")))
        server.minimumTLSVersion = .tlsv13
        server.certificateVerification = .noHostnameVerification
        var client = TLSConfiguration.makeClientConfiguration()
        client.minimumTLSVersion = .tlsv13
        client.certificateVerification = .noHostnameVerification
        client.trustRoots = .file(path("ca.crt"))
        client.certificateChain = certificate
        client.privateKey = .privateKey(key)
        let contexts = LinkContexts(
            server: try NIOSSLContext(configuration: server), client: try NIOSSLContext(configuration: client))
        return LinkEndpoint(
            cluster: other ?? cluster, clusterName: clusterName, node: try NodeID(name), store: StoreID(7),
            generation: Generation(1), contexts: { contexts })
    }
}

/// Waits until `condition` holds, at most ten seconds.
func eventually(_ condition: () async -> Bool) async -> Bool {
    for _ in 0..<2_000 {
        if await condition() { return true }
        do { try await Task.sleep(for: .milliseconds(5)) } catch { return false }
    }
    return false
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A number that several tasks may change.
final class Tally: Sendable {
    private let number = Mutex(0)
    var value: Int { number.withLock { $0 } }
    func set(_ new: Int) { number.withLock { $0 = new } }
    func add(_ more: Int) { number.withLock { $0 += more } }
}
