import COpenSSL
import Model

extension Certificate {
    /// The name of the cluster whose authority this is: it stands in the subject, `<cluster> authority`. A node that is about to
    /// join learns it from here, after it has compared the pin.
    /// - Throws: `malformed` for any other certificate.
    package func authorityCluster() throws(IdentityError) -> String {
        let handle = try handle()
        var buffer = [CChar](repeating: 0, count: 256)
        let length = X509_NAME_get_text_by_NID(
            X509_get_subject_name(handle.pointer), NID_commonName, &buffer, Int32(buffer.count))
        let suffix = " authority"
        guard X509_check_ca(handle.pointer) != 0, length > 0, length < buffer.count else {
            throw .malformed("certificate: not that of a cluster's authority")
        }
        let subject = String(decoding: buffer.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard subject.hasSuffix(suffix) else { throw .malformed("certificate: '\(subject)' names no cluster") }
        return String(subject.dropLast(suffix.count))
    }
}
