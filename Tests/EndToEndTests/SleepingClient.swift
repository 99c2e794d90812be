import Dispatch
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// A client that was answered, keeps its connection, and then stands still: it takes nothing any more, and closes nothing.
struct SleepingClient {
    private let client: HTTP
    private let awake = DispatchSemaphore(value: 0)

    /// - Parameter loops: of one thread, which sleeps.
    init(
        of url: String, authority: URL, identity: (certificate: URL, key: URL), on loops: MultiThreadedEventLoopGroup
    ) async throws {
        client = try HTTP(authority: authority, identity: identity, on: loops)
        let answer = try await client.send(.GET, url)
        guard answer.status == 200 else { throw Failure("\(url): \(answer.status) \(answer.text)") }
        loops.next().execute { [awake] in awake.wait() }
    }

    func wakeAndClose() async {
        awake.signal()
        await client.close()
    }
}
