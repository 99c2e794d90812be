import ServiceLifecycle

/// Tells the failure detector of links that end or are refused: nothing says sooner that a process is gone.
package struct LinkWatch: Service {
    private let links: PeerLinks
    private let gossip: GossipService

    package init(links: PeerLinks, gossip: GossipService) {
        self.links = links
        self.gossip = gossip
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            for await event in links.events {
                switch event {
                case .disconnected(let node): gossip.linkEnded(to: node)
                case .refused(let node): gossip.linkRefused(by: node)
                case .connected, .ended: break
                }
            }
        }
    }
}
