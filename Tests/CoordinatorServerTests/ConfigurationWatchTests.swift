import Access
import CoordinatorServer
import Foundation
import HTTPTypes
import Model
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConfigurationWatchTests {
    private let harness: APIHarness

    init() throws { harness = try APIHarness() }

    private func set(_ key: String, _ value: String, in scope: String = "global") async throws {
        let answer = try await harness.ask(
            .put, "/api/v1/config/\(scope)/entries/\(key)", "{\"value\":\(value)}", as: harness.root)
        #expect(answer.status == 200, "\(answer.text)")
    }

    @Test("a watcher is told what there is, then each change in the order of the log, with the revision that it led to")
    func order() async throws {
        try await set("app.a", "1")
        async let told = harness.events(3, of: "/config/global:watch")
        let changes = Task {
            for turn in 0... {
                try await set("app.b", "\(turn)")
                try await Task.sleep(for: .milliseconds(2))
            }
        }
        let events = await told
        changes.cancel()
        #expect(events[0].contains("event: state") && events[0].contains(#""begins":true"#), "\(events)")
        #expect(events[1].contains("event: change") && events[2].contains("event: change"))
        let ids = events.compactMap { event in
            event.split(separator: "\n").first { $0.hasPrefix("id: 1:") }.flatMap { Int($0.dropFirst(6)) }
        }
        #expect(ids.count == 3 && ids[1] == ids[0] + 1 && ids[2] == ids[1] + 1)
    }

    @Test(
        "who comes back with the last id is told exactly what he missed, by header or by parameter", arguments: [true, false])
    func resumes(byHeader: Bool) async throws {
        try await set("app.a", "1")
        try await set("app.b", "2")
        try await set("app.a", "3")
        let told = await harness.events(
            2, of: "/config/global:watch" + (byHeader ? "" : "?after=1:1"), headers: byHeader ? ["Last-Event-ID": "1:1"] : [:])
        #expect(
            told == [
                "event: change\nid: 1:2\ndata: "
                    + #"{"removed":[],"set":[{"key":"app.b","scope":"global","value":2,"version":2}]}"#,
                "event: change\nid: 1:3\ndata: "
                    + #"{"removed":[],"set":[{"key":"app.a","scope":"global","value":3,"version":3}]}"#,
            ])
    }

    @Test(
        "who stands in an older history, or where nothing is kept, is told the state from its beginning",
        arguments: ["0:9", "1:0"])
    func beginsAnew(place: String) async throws {
        try await set("app.a", #""x""#)
        let told = await harness.events(1, of: "/config/global:watch?after=\(place)")
        #expect(
            told == [
                "event: state\nid: 1:1\ndata: "
                    + #"{"begins":true,"entries":[{"key":"app.a","scope":"global","value":"x","version":1}]}"#
            ])
    }

    @Test("a watcher hears of the keys and the scope that he asked for, and of nothing else")
    func filters() async throws {
        try await set("app.one.a", "1")
        try await set("app.two.a", "2")
        try await set("app.one.b", "3", in: "nodes/n1")
        try await set("app.one.c", "4")
        let told = await harness.events(1, of: "/config/global:watch?prefix=app.one.&after=1:1")
        #expect(told.count == 1 && told[0].contains("app.one.c") && told[0].contains("id: 1:4"))
        let state = await harness.events(1, of: "/config/nodes/n1:watch")
        #expect(state.count == 1 && state[0].contains("app.one.b") && !state[0].contains("app.one.a"))
    }

    @Test("a change that removes says so by the key alone")
    func removal() async throws {
        try await set("app.a", "1")
        _ = try await harness.ask(.delete, "/api/v1/config/global/entries/app.a", as: harness.root)
        let told = await harness.events(1, of: "/config/global:watch?after=1:1")
        #expect(told == [#"event: change\#nid: 1:2\#ndata: {"removed":["app.a"],"set":[]}"#])
    }

    @Test("a state of many entries comes in pages, the first of which says that it begins, and the last of which has the id")
    func pages() async throws {
        for number in 0..<1_100 { try await set("app.\(number)", "0") }
        let told = await harness.events(3, of: "/config/global:watch")
        #expect(told.map { $0.contains(#""begins":true"#) } == [true, false, false])
        #expect(told.map { $0.contains("id: 1:1100") } == [false, false, true])
    }

    @Test("a place that no event has is refused by its name", arguments: ["1", "1:x", "01:2", "1:2:3", "-1:2", ""])
    func badPlaces(place: String) async throws {
        let answer = try await harness.get("/config/global:watch?after=\(place)")
        #expect(answer.status == 400 && answer["field"] == "after")
    }

    @Test("the stream ends with the credential by which it was asked for")
    func expires() async throws {
        try await set("app.a", "1")
        let late = Caller(principal: harness.root.principal, role: .root, by: .token(expiresAt: 1))
        #expect(await harness.events(1, of: "/config/global:watch", as: late).isEmpty)
    }
}
