package import Access
import Identity
package import Model

/// Judges the bearer of a data request (rule S3), with what this node knows and no call to anybody.
package protocol TokenChecking: Sendable {
    func verify(
        authorization: String?, for request: AccessRequest, under topology: Topology, at now: WallTime
    ) throws(TokenRefusal) -> TokenClaims
}

extension TokenVerifier: TokenChecking {}
