// `coxctl key`: the keys of the cluster itself. Their bytes are never shown.

import ArgumentParser
import Client

struct KeyGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "The cluster's own keys.", subcommands: [GossipKeyGroup.self])
}

struct GossipKeyGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gossip", abstract: "The keys that seal gossip.",
        subcommands: [GossipKeyList.self, GossipKeyRotate.self, GossipKeyCancel.self])
}

struct GossipKeyList: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "The keys by name, and which member holds which.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws {
        GossipKeyView(document: try await session.ask(.get, "/keys/gossip").body).show(session.options.output)
    }
}

struct GossipKeyRotate: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Exchange all keys for a new one. Exit code 7 if members have yet to follow when the wait is over.",
        discussion: """
            Every live member first holds the new key beside the old one, then seals with it, then drops the old one; each step waits \
            for all of them. A member that is down learns the keys when it is back. The coordinators carry it through by themselves: \
            who stops waiting stops nothing.
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var waiting: WaitOptions

    func act(_ session: Session) async throws {
        let answer = try await session.ask(.post, "/keys/gossip:rotate")
        guard let key = answer.body["rotation"]?["key_id"]?.string else {
            // It was asked for before, and is over.
            return GossipKeyView(document: answer.body).show(session.options.output)
        }
        guard waiting.wait else {
            say("Next: coxctl key gossip list")
            return GossipKeyView(document: answer.body).show(session.options.output)
        }
        let view = try await finish(key, seconds: waiting.waitSeconds, in: session)
        switch session.options.output {
        case .json: print(view.document.prettyText)
        case .table: print("key \(key) seals, and is the only one")
        }
    }

    /// - Throws: `waitTimedOut`, naming those who lag, when `seconds` are over; the rotation goes on.
    private func finish(_ key: String, seconds: Int, in session: Session) async throws -> GossipKeyView {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(seconds)
        var told: String?
        while true {
            let view = GossipKeyView(document: try await session.ask(.get, "/keys/gossip").body)
            guard view.rotating == key else {
                guard view.ids.contains(key) else {
                    throw CommandFailure(status: .failure, message: "the rotation to \(key) was cancelled")
                }
                return view
            }
            if view.step != told {
                told = view.step
                say("\(view.step ?? "-"): waits for every live member")
            }
            guard clock.now < deadline else {
                throw CommandFailure(
                    status: .waitTimedOut,
                    message: """
                        the rotation to \(key) goes on at its step '\(view.step ?? "-")'; not yet there: \
                        \(view.behind.isEmpty ? "-" : view.behind.joined(separator: " "))
                        Next: coxctl key gossip list
                        """)
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

struct GossipKeyCancel: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Take a new key back, as long as nobody seals with it.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws {
        GossipKeyView(document: try await session.ask(.post, "/keys/gossip:cancel").body).show(session.options.output)
    }
}

/// What the coordinators say of the keys.
struct GossipKeyView {
    let document: JSONValue

    var rotating: String? { document["rotation"]?["key_id"]?.string }
    var step: String? { document["rotation"]?["step"]?.string }
    var behind: [String] { (document["rotation"]?["waits_for"]?.array ?? []).compactMap(\.string) }
    var ids: [String] { (document["keys"]?.array ?? []).compactMap { $0["key_id"]?.string } }

    func show(_ form: OutputForm) {
        guard form == .table else { return print(document.prettyText) }
        let keys = TextTable(
            columns: [
                .init("KEY", "key_id"), .init("SEALS", "primary"), .init("SINCE", "created_at"), .init("HELD BY", "holders"),
            ], rows: document["keys"]?.array ?? [])
        let members = TextTable(
            columns: [
                .init("MEMBER", "node_id"), .init("KIND", "kind"), .init("LIVE", "live"), .init("IN STEP", "in_step"),
                .init("SEALS WITH", "seals_with"), .init("HOLDS", "holds"),
            ], rows: document["members"]?.array ?? [])
        print(keys.text)
        if let rotating, let step {
            print("\nrotation to \(rotating): \(step), waits for \(behind.isEmpty ? "-" : behind.joined(separator: " "))")
        }
        print("\n" + members.text)
    }
}
