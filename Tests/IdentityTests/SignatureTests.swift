import Foundation
import Model
import Testing

@testable import Identity

@Suite struct SignatureTests {
    @Test("a signature is valid for its message and key, and for no other", arguments: SignatureAlgorithm.allCases)
    func signAndVerify(algorithm: SignatureAlgorithm) throws {
        let key = try PrivateKey.generate(algorithm)
        let publicKey = try PublicKey(spki: try key.publicKey(), algorithm: algorithm)
        let other = try PublicKey(spki: try PrivateKey.generate(algorithm).publicKey(), algorithm: algorithm)
        for length in [0, 1, 300] {
            let message = try SecureRandom.bytes(length)
            let signature = try key.sign(message)
            #expect(signature.count == 64)
            #expect(publicKey.isValid(signature, for: message))
            #expect(!other.isValid(signature, for: message))
            #expect(!publicKey.isValid(signature, for: message + [0]))
            #expect(!publicKey.isValid(signature + [0], for: message))
            #expect(!publicKey.isValid([], for: message))
            for bit in 0..<512 {
                var changed = signature
                changed[bit / 8] ^= 1 << (bit % 8)
                #expect(!publicKey.isValid(changed, for: message))
            }
        }
        #expect(!publicKey.isValid([UInt8](repeating: 0, count: 64), for: [1]))
        #expect(!publicKey.isValid([UInt8](repeating: 255, count: 64), for: [1]))
    }

    @Test("ES256 signatures with leading zeros in r or s are read and written right")
    func leadingZeros() throws {
        let key = try PrivateKey.generate()
        let publicKey = try PublicKey(spki: try key.publicKey(), algorithm: .es256)
        var seen = 0
        for number in 0..<3_000 where seen < 4 {
            let message = Array("\(number)".utf8)
            let signature = try key.sign(message)
            if signature[0] == 0 || signature[32] == 0 { seen += 1 }
            #expect(publicKey.isValid(signature, for: message))
        }
        #expect(seen > 0)
    }

    @Test("a key of one algorithm is never taken for the other")
    func algorithmIsFixed() throws {
        let edwards = try PrivateKey.generate(.edDSA).publicKey()
        #expect(throws: IdentityError.self) { try PublicKey(spki: edwards, algorithm: .es256) }
        let curve = try PrivateKey.generate(.es256).publicKey()
        #expect(throws: IdentityError.self) { try PublicKey(spki: curve, algorithm: .edDSA) }
        #expect(throws: IdentityError.self) { try PublicKey(spki: curve + [0], algorithm: .es256) }
        for count in curve.indices {
            #expect(throws: IdentityError.self) { try PublicKey(spki: Array(curve.prefix(count)), algorithm: .es256) }
        }
    }

    @Test(
        "a private key reads back from PEM; an encrypted one is refused without a prompt",
        arguments: SignatureAlgorithm.allCases)
    func pem(algorithm: SignatureAlgorithm) throws {
        let key = try PrivateKey.generate(algorithm)
        #expect(try PrivateKey(pem: try key.pem()).publicKey() == key.publicKey())
        try withFolder { folder in
            try SecretFile.write(Array(try key.pem().utf8), to: "\(folder)/k")
            let made = try openssl(["pkcs8", "-topk8", "-in", "\(folder)/k", "-passout", "pass:x", "-out", "\(folder)/e"])
            #expect(made.code == 0)
            let encrypted = try String(contentsOfFile: "\(folder)/e", encoding: .utf8)
            #expect(throws: IdentityError.self) { try PrivateKey(pem: encrypted) }
        }
    }

    @Test("the openssl tool verifies an Ed25519 signature made here")
    func openSSLAgrees() throws {
        let key = try PrivateKey.generate(.edDSA)
        let message = Array("coxswain".utf8)
        try withFolder { folder in
            try SecretFile.write(try key.publicKey(), to: "\(folder)/p")
            try SecretFile.write(message, to: "\(folder)/m")
            try SecretFile.write(try key.sign(message), to: "\(folder)/s")
            let checked = try openssl([
                "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "\(folder)/p", "-rawin", "-in", "\(folder)/m",
                "-sigfile", "\(folder)/s",
            ])
            #expect(checked.code == 0, "\(checked.output)")
        }
    }

    @Test("SHA-256 gives the published digests")
    func digests() {
        #expect(Hex.encode(Digest.sha256([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            Hex.encode(Digest.sha256(Array("abc".utf8))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test("constant-time comparison compares")
    func constantTime() {
        #expect(equalInConstantTime([1, 2, 3], [1, 2, 3]))
        #expect(!equalInConstantTime([1, 2, 3], [1, 2, 4]))
        #expect(!equalInConstantTime([1, 2, 3], [1, 2]))
        #expect(equalInConstantTime([], []))
    }
}

@Suite struct GossipKeyringTests {
    let context = Array("0123456789abcdef0123456789abcdef".utf8)

    @Test("what is sealed opens, in every length, and never seals alike twice")
    func roundTrip() throws {
        let ring = try GossipKeyring.generate()
        for length in [0, 1, 15, 16, 17, 1_400] {
            let message = try SecureRandom.bytes(length)
            let sealed = try ring.seal(message, context: context)
            #expect(sealed.count == length + GossipKeyring.overhead)
            #expect(try ring.open(sealed, context: context) == message)
            #expect(try ring.seal(message, context: context) != sealed)
        }
    }

    @Test("a changed bit, a truncation, another context or another key opens nothing")
    func refused() throws {
        let ring = try GossipKeyring.generate()
        let sealed = try ring.seal(Array("hello".utf8), context: context)
        for bit in 0..<(sealed.count * 8) {
            var changed = sealed
            changed[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: IdentityError.self) { try ring.open(changed, context: context) }
        }
        for count in sealed.indices {
            #expect(throws: IdentityError.self) { try ring.open(Array(sealed.prefix(count)), context: context) }
        }
        #expect(throws: IdentityError.unsealable) { try ring.open(sealed, context: []) }
        #expect(throws: IdentityError.unsealable) { try GossipKeyring.generate().open(sealed, context: context) }
    }

    @Test("a ring with a new primary still opens what the old key sealed")
    func rotation() throws {
        let old = try GossipKeyring(keys: [1: [UInt8](repeating: 1, count: 32)], primary: 1)
        let both = try GossipKeyring(
            keys: [1: [UInt8](repeating: 1, count: 32), 2: [UInt8](repeating: 2, count: 32)], primary: 2)
        #expect(try both.open(try old.seal([7], context: []), context: []) == [7])
        #expect(throws: IdentityError.unknownSealingKey(2)) { try old.open(try both.seal([7], context: []), context: []) }
    }

    @Test("a ring reads back from its file; a bad file is refused")
    func file() throws {
        let ring = try GossipKeyring.generate()
        #expect(try GossipKeyring(json: try ring.json()) == ring)
        for text in [
            "", "{}", #"{"primary":2,"keys":[{"id":1,"key":"AAAA"}]}"#, #"{"primary":1,"keys":[{"id":1,"key":"AAAA"}]}"#,
        ] {
            #expect(throws: IdentityError.self) { try GossipKeyring(json: Data(text.utf8)) }
        }
    }
}

@Suite struct SecretFileTests {
    @Test("a secret is readable by its owner only, also over an older file, and reads back")
    func mode() throws {
        try withFolder { folder in
            let path = "\(folder)/secret"
            try Data("old".utf8).write(to: URL(fileURLWithPath: path))
            try SecretFile.write(Array("new".utf8), to: path)
            #expect(try SecretFile.read(path) == Array("new".utf8))
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["secret"])
            #expect(throws: IdentityError.self) { try SecretFile.read("\(folder)/none") }
            #expect(throws: IdentityError.self) { try SecretFile.write([], to: "\(folder)/none/x") }
        }
    }
}
