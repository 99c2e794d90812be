// X.509 extensions and names, written through libcrypto's configuration words. Every name was checked before it gets here, so
// that no comma or colon of a name becomes a word.

import COpenSSL

enum Extensions {
    /// Sets the common name, for people who read certificates: nothing here ever reads it.
    static func name(_ subject: OpaquePointer?, _ text: String) throws(IdentityError) {
        try Libcrypto.require(
            X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_FLAG, Array(text.utf8), Int32(text.utf8.count), -1, 0),
            "naming a certificate")
    }

    /// `URI:…,DNS:localhost,IP:…`, without repetition.
    static func subjectNames(_ identity: PeerIdentity, _ addresses: [String]) throws(IdentityError) -> String {
        var words = ["URI:\(identity.uri)", "DNS:localhost"]
        for address in addresses {
            let word = try SubjectAddress.configuration(address)
            if !words.contains(word) { words.append(word) }
        }
        return words.joined(separator: ",")
    }

    /// A new extension that the caller owns.
    static func make(_ kind: Int32, _ words: String, issuer: OpaquePointer?, subject: OpaquePointer?) throws(IdentityError)
        -> OpaquePointer
    {
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, issuer, subject, nil, nil, 0)
        guard let made = X509V3_EXT_conf_nid(nil, &context, kind, words) else {
            throw Libcrypto.failure("making the extension '\(words)'")
        }
        return made
    }

    /// Adds one extension to `certificate`.
    static func add(_ kind: Int32, _ words: String, to certificate: OpaquePointer, issuer: OpaquePointer) throws(IdentityError)
    {
        let made = try make(kind, words, issuer: issuer, subject: certificate)
        defer { X509_EXTENSION_free(made) }
        try Libcrypto.require(X509_add_ext(certificate, made, -1), "adding an extension")
    }
}
