import NIOCore
import NIOSSL
import Testing

@testable import Client

@Suite struct HTTPFailureTests {
    @Test("a connection that broke may have carried the request; only one that was never made has not")
    func classes() {
        for error in [
            NIOSSLError.uncleanShutdown, .readInInvalidTLSState, .writeDuringTLSShutdown,
        ] {
            #expect(HTTPCalls.failure(error) == .unanswered("\(error)"))
        }
        #expect(HTTPCalls.failure(ChannelError.ioOnClosedChannel) == .unanswered("\(ChannelError.ioOnClosedChannel)"))
        let refused = IOError(errnoCode: 111, reason: "connect")
        #expect(HTTPCalls.failure(refused) == .notSent("\(refused)"))
    }
}
