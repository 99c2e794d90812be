import Foundation
import Identity
import Model
import Testing
import Transport

@Suite("a member's keyring follows the cluster's record")
struct KeyringKeeperTests {
    private final class Place {
        let folder = FileManager.default.temporaryDirectory.appending(path: "keyring-\(UUID().uuidString)")
        var path: String { folder.appending(path: "gossip.key").path }
        init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(at: folder) }

        func read() throws -> GossipKeyring { try GossipKeyring(json: Data(try SecretFile.read(path))) }
        var mode: Int? { (try? FileManager.default.attributesOfItem(atPath: path))?[.posixPermissions] as? Int }
    }

    private static func record(_ keyring: GossipKeyring, at index: UInt64) throws -> GossipKeys {
        try #require(
            GossipKeys(
                keys: keyring.listed, primary: keyring.primary, version: Revision(history: 1, index: index), rotation: nil))
    }

    private func keeper(_ keyring: GossipKeyring, at place: Place) throws -> (keeper: KeyringKeeper, seal: GossipSeal) {
        let seal = GossipSeal(keyring, of: try ClusterID("0123456789abcdef0123456789abcdef"))
        return (KeyringKeeper(seal: seal, path: place.path, logger: quiet), seal)
    }

    @Test("a record's ring is on disk, readable by its owner only, before it is in force and told")
    func follows() async throws {
        let place = try Place()
        let first = try GossipKeyring.generate()
        let second = try first.installing([UInt8](repeating: 9, count: 32), as: 2).using(2)
        let (keeper, seal) = try self.keeper(first, at: place)
        var news = keeper.news.makeAsyncIterator()
        let atFirst = await news.next()
        #expect(atFirst == first.held)
        let task = Task { try await keeper.run() }
        keeper.follow(try Self.record(second, at: 7), isCurrent: false)
        let then = await news.next()
        #expect(then == second.held)
        #expect(seal.keyring.held == second.held && seal.keyring.version == Revision(history: 1, index: 7))
        #expect(try place.read() == seal.keyring)
        #expect(place.mode == 0o600)
        task.cancel()
        _ = try? await task.value
    }

    @Test("an older record than the ring in force changes nothing, not even after a start")
    func forwardOnly() async throws {
        let place = try Place()
        let first = try GossipKeyring.generate()
        let second = try GossipKeyring.generate()
        let third = try GossipKeyring.generate()
        let (before, _) = try self.keeper(first, at: place)
        var news = before.news.makeAsyncIterator()
        _ = await news.next()
        let task = Task { try await before.run() }
        before.follow(try Self.record(second, at: 7), isCurrent: false)
        let told = await news.next()
        #expect(told == second.held)
        task.cancel()
        _ = try? await task.value

        let (after, seal) = try self.keeper(try place.read(), at: place)
        let again = Task { try await after.run() }
        after.follow(try Self.record(first, at: 6), isCurrent: true)
        await after.becomesCurrent(within: .seconds(60))
        #expect(seal.keyring.held == second.held)
        after.follow(try Self.record(third, at: 8), isCurrent: true)
        #expect(await eventually { after.held == third.held })
        again.cancel()
        _ = try? await again.value
    }

    @Test("what cannot be stored is not in force and not told; it is tried again until it can")
    func fullDisk() async throws {
        let place = try Place()
        let first = try GossipKeyring.generate()
        let second = try GossipKeyring.generate()
        let (keeper, seal) = try self.keeper(first, at: place)
        // A folder stands where the new file would be written.
        let obstacle = place.path + ".new"
        try FileManager.default.createDirectory(atPath: obstacle, withIntermediateDirectories: false)
        let task = Task { try await keeper.run() }
        keeper.follow(try Self.record(second, at: 3), isCurrent: true)
        await keeper.becomesCurrent(within: .milliseconds(300))
        #expect(keeper.held == first.held && seal.keyring.held == first.held)
        try FileManager.default.removeItem(atPath: obstacle)
        #expect(await eventually { keeper.held == second.held })
        await keeper.becomesCurrent(within: .seconds(60))
        task.cancel()
        _ = try? await task.value
    }

    @Test("a key has one name everywhere, and its name is not the key")
    func names() throws {
        let secret = try GossipKeyring.newKey()
        #expect(GossipKeyring.id(of: secret.bytes) == secret.id)
        #expect(try GossipKeyID(secret.id.description) == secret.id)
        #expect(
            GossipKeyring.id(of: [UInt8](repeating: 0, count: 32)) != GossipKeyring.id(of: [UInt8](repeating: 1, count: 32)))
        for text in ["", "0", "+123456789abcdef", "0123456789ABCDEF", "0123456789abcdefa", "0123456789abcdeg"] {
            #expect(throws: InvalidValue.self) { try GossipKeyID(text) }
        }
    }
}
