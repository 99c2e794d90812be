import Model
import Testing
import Transport

@Suite struct ToldDeathsTests {
    private func death(_ name: String, session: UInt64 = 4) throws -> FoundDeath {
        FoundDeath(node: try NodeID(name), session: SessionID(session), generation: Generation(1))
    }

    @Test("a death is news once, and that of the node's next session is news again")
    func once() throws {
        var told = ToldDeaths()
        let news = try [("n1", 4), ("n1", 4), ("n2", 4), ("n1", 5), ("n1", 5)].map { told.isNews(try death($0, session: $1)) }
        #expect(news == [true, false, true, true, false])
    }

    @Test("however many names are told of, no more are remembered than a whole cluster has")
    func bounded() throws {
        var told = ToldDeaths()
        for index in 0..<3 * ToldDeaths.most {
            #expect(told.isNews(try death("n\(index)")))
            #expect(told.count <= ToldDeaths.most)
        }
    }
}
