import Client
import FoundationEssentials
import KeyEncoding
import Model
import Testing

@Suite struct TableRouteTests {
    private static let text = """
        {"table":"t","revision":"1:9","columns":[{"name":"id","type":"text"},{"name":"v","type":"integer"}],
         "partition_key":"id","sort_key":null,"partitions":[
          {"id":20,"epoch":3,"primary":"n1","gateway":"h:1","from":"[\\"m\\"]","to":null,"replicas":[{"node":"n1","gateway":"h:1"}]},
          {"id":10,"epoch":2,"primary":null,"gateway":null,"from":null,"to":"[\\"m\\"]","replicas":[{"node":"n2","gateway":"h:2"}]}]}
        """

    private func route() throws -> TableRoute { try TableRoute(try JSONValue(Data(Self.text.utf8))) }

    @Test("a key is found in the partition whose range holds it")
    func lookup() throws {
        let route = try route()
        for (key, id) in [("a", 10), ("lzzz", 10), ("m", 20), ("z", 20)] as [(String, UInt64)] {
            #expect(route.partition(of: try route.layout.key(text: "[\"\(key)\"]"))?.id == id)
        }
        #expect(route.partition(of: .least)?.gateway == nil)
    }

    @Test("a newer descriptor of the same range takes the old one's place; an older or a partial one asks for a new route")
    func mending() throws {
        var route = try route()
        let old = try #require(route.partitions.last)
        func changed(epoch: UInt64, high: Key? = nil) -> PartitionRoute {
            PartitionRoute(id: 20, epoch: epoch, low: old.low, high: high, gateway: "h:3", replicas: [])
        }
        for stale in [changed(epoch: 3), changed(epoch: 2), changed(epoch: 9, high: Key(old.low.bytes + [9]))] {
            let isMended = route.mend(with: stale)
            #expect(!isMended)
        }
        #expect(route.partitions.last == old)
        let isMended = route.mend(with: changed(epoch: 4))
        #expect(isMended)
        #expect(route.partitions.last?.gateway == "h:3")
    }

    @Test("what was merged takes the place of all that it covers, if it covers them whole and is later than each")
    func mendingMerged() throws {
        var route = try route()
        let upper = try #require(route.partitions.last)
        func merged(epoch: UInt64, low: Key = .least, high: Key? = nil) -> PartitionRoute {
            PartitionRoute(id: 30, epoch: epoch, low: low, high: high, gateway: "h:3", replicas: [])
        }
        for useless in [
            merged(epoch: 3), merged(epoch: 4, high: Key(upper.low.bytes + [9])), merged(epoch: 4, low: Key([0])),
        ] {
            let isMended = route.mend(with: useless)
            #expect(!isMended && route.partitions.count == 2)
        }
        let isMended = route.mend(with: merged(epoch: 4))
        #expect(isMended)
        #expect(route.partitions == [merged(epoch: 4)])
        #expect(route.partition(of: upper.low)?.id == 30)
    }

    @Test("an answer without its key columns or partitions is refused, not trapped on")
    func malformed() throws {
        for text in ["{}", "[]", "null", "{\"table\":\"t\",\"columns\":[],\"partition_key\":\"id\",\"partitions\":[]}"] {
            let json = try JSONValue(Data(text.utf8))
            #expect(throws: ClientError.self) { try TableRoute(json) }
        }
    }

    @Test("JSON keeps 64-bit integers whole and is written in one order")
    func json() throws {
        let text = "{\"a\":9223372036854775807,\"b\":[true,null,\"x\\\"y\",-1],\"c\":18446744073709551615}"
        #expect(try JSONValue(Data(text.utf8)).text == text)
    }
}
