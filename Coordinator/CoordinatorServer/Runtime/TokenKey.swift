// This coordinator's own key for tokens: made once in its data folder, published before it signs anything (rules S3, S4).

import Catalog
import Identity
import LogStorage
import Logging
import Model
import ServiceLifecycle
import Transport

enum TokenKey {
    /// The key in `folder`, made if there is none.
    static func open(in folder: DataFolder) throws -> PrivateKey {
        let path = folder.path + "/token.key"
        if let pem = try DurableFile.read(path) { return try PrivateKey(pem: String(decoding: pem, as: UTF8.self)) }
        let key = try PrivateKey.generate()
        try SecretFile.write(Array(try key.pem().utf8), to: path)
        return key
    }
}

/// Has the public half committed, and sees to it that it stays.
struct TokenKeyPublisher: Service {
    let issuer: TokenIssuer
    let plane: any ControlPlane
    let node: NodeID
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                if plane.feed.topology.signingKeys[issuer.keyID] == nil { await publish() }
                do { try await Task.sleep(for: .seconds(1)) } catch { return }
            }
        }
    }

    private func publish() async {
        do {
            let result = try await plane.propose(
                .addSigningKey(issuer.signingKey(createdAt: BootClock.wallTime())), by: try Principal("coordinator/\(node)"),
                reason: "this coordinator's key for tokens", requestID: try RequestID("signing-key-\(issuer.keyID)"),
                fingerprint: [], traceID: "")
            if case .refused(let rejection) = result {
                logger.error("the token key was refused", metadata: ["why": "\(rejection)"])
            }
        } catch {
            logger.debug("the token key is not committed yet", metadata: ["why": "\(error)"])
        }
    }
}
