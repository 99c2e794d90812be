import Foundation
import Model
import NIOSSL
import Testing

@testable import Identity

let now = WallTime(milliseconds: 1_790_000_000_000)

/// The `openssl` tool's word: its exit code and what it said.
func openssl(_ arguments: [String]) throws -> (code: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl"] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
}

/// A folder of its own for one test.
func withFolder<R>(_ body: (String) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

@Suite struct AuthorityTests {
    let authority: Authority
    let key: PrivateKey
    let node: PeerIdentity

    init() throws {
        authority = try Authority.create(cluster: "demo", at: now)
        key = try PrivateKey.generate()
        node = try PeerIdentity(cluster: "demo", role: .node, name: "n1")
    }

    func leaf() throws -> Certificate {
        try authority.issue(node, publicKey: try key.publicKey(), addresses: ["127.0.0.1", "::1", "db1.example"], at: now)
    }

    @Test("a leaf carries one identity, the addresses given, and a life of seven days that began five minutes ago")
    func leafContents() throws {
        let leaf = try leaf()
        #expect(try leaf.identity() == node)
        #expect(try leaf.addresses() == ["localhost", "127.0.0.1", "::1", "db1.example"])
        let (from, until) = try leaf.validity()
        #expect(from == WallTime(milliseconds: now.milliseconds - 300_000))
        #expect(until == WallTime(milliseconds: now.milliseconds + 7 * 86_400_000))
        try leaf.verify(against: authority.certificate, at: now)
        #expect(try Certificate(pem: try leaf.pem()) == leaf)
    }

    @Test("a leaf of another authority, an expired one and one from the future are not trusted")
    func untrusted() throws {
        let leaf = try leaf()
        let other = try Authority.create(cluster: "demo", at: now)
        #expect(throws: IdentityError.self) { try leaf.verify(against: other.certificate, at: now) }
        for shift in [8 * 86_400_000, -3_600_000] as [Int64] {
            #expect(throws: IdentityError.self) {
                try leaf.verify(against: authority.certificate, at: WallTime(milliseconds: now.milliseconds + shift))
            }
        }
    }

    @Test("no changed bit of a certificate leaves it trusted as it was")
    func tampered() throws {
        let leaf = try leaf()
        for index in leaf.der.indices {
            var der = leaf.der
            der[index] ^= 1 << (index % 8)
            guard let changed = try? Certificate(der: der) else { continue }
            // A damaged part may be dropped by a parser and come out whole again: then nothing was changed.
            #expect(throws: IdentityError.self, "byte \(index)") { try changed.verify(against: authority.certificate, at: now) }
        }
    }

    @Test("every truncation of a certificate is malformed, and so is one with bytes behind it")
    func truncated() throws {
        let der = try leaf().der
        for count in 0..<der.count { #expect(throws: IdentityError.self) { try Certificate(der: Array(der.prefix(count))) } }
        #expect(throws: IdentityError.self) { try Certificate(der: der + [0]) }
    }

    @Test("a certificate with two URI names, with none, or of an authority is nobody's identity")
    func notOneIdentity() throws {
        try withFolder { folder in
            for (names, found) in [("URI:spiffe://demo/node/n1,URI:spiffe://demo/node/n2", 2), ("DNS:n1", 0)] {
                let path = "\(folder)/x.crt"
                let made = try openssl([
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    "\(folder)/x.key", "-subj", "/CN=n1", "-addext", "basicConstraints=critical,CA:FALSE", "-addext",
                    "subjectAltName=\(names)", "-out", path,
                ])
                #expect(made.code == 0, "\(made.output)")
                let certificate = try Certificate(pem: String(contentsOfFile: path, encoding: .utf8))
                #expect(throws: IdentityError.noSingleIdentity(found: found)) { try certificate.identity() }
            }
        }
        #expect(throws: IdentityError.self) { try authority.certificate.identity() }
    }

    @Test("the openssl tool verifies a leaf, reads its names, and computes the same pin")
    func openSSLAgrees() throws {
        // The tool has no wish to know our clock: certificates of the present.
        let present = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
        let authority = try Authority.create(cluster: "demo", at: present)
        let leaf = try authority.issue(node, publicKey: try key.publicKey(), addresses: ["127.0.0.1"], at: present)
        try withFolder { folder in
            try SecretFile.write(Array(try authority.certificate.pem().utf8), to: "\(folder)/ca.crt")
            try SecretFile.write(Array(try leaf.pem().utf8), to: "\(folder)/leaf.crt")
            let verified = try openssl(["verify", "-x509_strict", "-CAfile", "\(folder)/ca.crt", "\(folder)/leaf.crt"])
            #expect(verified.code == 0, "\(verified.output)")
            let text = try openssl(["x509", "-in", "\(folder)/leaf.crt", "-noout", "-text"]).output
            #expect(text.contains("URI:spiffe://demo/node/n1, DNS:localhost, IP Address:127.0.0.1"))
            #expect(text.contains("CA:FALSE"))
            let spki = try openssl(["x509", "-in", "\(folder)/ca.crt", "-pubkey", "-noout", "-out", "\(folder)/ca.pub"])
            #expect(spki.code == 0)
            _ = try openssl(["pkey", "-pubin", "-in", "\(folder)/ca.pub", "-outform", "DER", "-out", "\(folder)/ca.der"])
            let digest = try openssl(["dgst", "-sha256", "-r", "\(folder)/ca.der"]).output
            #expect(digest.hasPrefix(try authority.certificate.pin()))
        }
    }

    @Test("an authority is read back from its files; with another key it is refused")
    func readBack() throws {
        let key = try PrivateKey(pem: try authority.keyPEM())
        _ = try Authority(certificate: authority.certificate, key: key)
        #expect(throws: IdentityError.self) {
            try Authority(certificate: authority.certificate, key: try PrivateKey.generate())
        }
    }

    @Test("an address that carries a comma never becomes a second name")
    func badAddress() throws {
        for address in ["a,URI:spiffe://demo/coordinator/c1", "", "a b", "300.1.1.1,x"] {
            #expect(throws: IdentityError.badAddress(address)) {
                try authority.issue(node, publicKey: try key.publicKey(), addresses: [address], at: now)
            }
        }
    }
}

@Suite struct CertificateRequestTests {
    @Test("a request proves possession and is signed as what it names")
    func issued() throws {
        let authority = try Authority.create(cluster: "demo", at: now)
        let node = try PeerIdentity(cluster: "demo", role: .node, name: "n2")
        let request = try CertificateRequest(for: node, addresses: ["10.0.0.2"], key: try PrivateKey.generate())
        let contents = try CertificateRequest(pem: request.pem).verified()
        #expect(contents.identity == node)
        #expect(contents.addresses == ["localhost", "10.0.0.2"])
        let leaf = try authority.issue(request, as: node, at: now)
        #expect(try leaf.identity() == node)
        let other = try PeerIdentity(cluster: "demo", role: .coordinator, name: "n2")
        #expect(throws: IdentityError.self) { try authority.issue(request, as: other, at: now) }
    }

    @Test("a request whose bytes were changed, or that is no request, is refused")
    func refused() throws {
        let node = try PeerIdentity(cluster: "demo", role: .node, name: "n2")
        let request = try CertificateRequest(for: node, addresses: [], key: try PrivateKey.generate())
        var lines = request.pem.split(separator: "\n").map(String.init)
        var der = Array(try #require(Data(base64Encoded: lines[1..<(lines.count - 1)].joined())))
        der[der.count - 6] ^= 1
        lines = [lines[0], Data(der).base64EncodedString(options: .lineLength64Characters), lines[lines.count - 1]]
        for pem in ["", "-----BEGIN CERTIFICATE REQUEST-----\n", lines.joined(separator: "\n") + "\n"] {
            #expect(throws: IdentityError.self) { try CertificateRequest(pem: pem).verified() }
        }
    }

    @Test("the openssl tool's request is read, and the tool verifies ours")
    func openSSLAgrees() throws {
        try withFolder { folder in
            let node = try PeerIdentity(cluster: "demo", role: .node, name: "n3")
            let made = try openssl([
                "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "\(folder)/k",
                "-subj", "/CN=x", "-addext",
                "subjectAltName=\(node.uri),IP:10.0.0.3".replacingOccurrences(of: "spiffe", with: "URI:spiffe"),
                "-out", "\(folder)/r",
            ])
            #expect(made.code == 0, "\(made.output)")
            let theirs = CertificateRequest(pem: try String(contentsOfFile: "\(folder)/r", encoding: .utf8))
            #expect(try theirs.verified().identity == node)
            let ours = try CertificateRequest(for: node, addresses: [], key: try PrivateKey.generate())
            try SecretFile.write(Array(ours.pem.utf8), to: "\(folder)/o")
            #expect(try openssl(["req", "-in", "\(folder)/o", "-verify", "-noout"]).code == 0)
        }
    }
}

@Suite struct PeerIdentityTests {
    @Test(
        "a URI name of any other form is nobody's identity",
        arguments: [
            "", "spiffe://", "spiffe://demo/node", "spiffe://demo/node/", "spiffe://demo/node/n1/", "spiffe://demo/nobody/n1",
            "spiffe://Demo/node/n1", "spiffe:/demo/node/n1", "https://demo/node/n1", "spiffe://demo/node/n1?x",
            "spiffe://demo/node/n\u{0}1", "spiffe://demo//n1",
        ])
    func refused(uri: String) {
        #expect(throws: IdentityError.notAnIdentity(uri)) { try PeerIdentity(uri: uri) }
    }

    @Test("every role's identity reads back what it writes", arguments: PeerIdentity.Role.allCases)
    func roundTrip(role: PeerIdentity.Role) throws {
        let identity = try PeerIdentity(cluster: "prod-1", role: role, name: "a-9")
        #expect(try PeerIdentity(uri: identity.uri) == identity)
    }
}
