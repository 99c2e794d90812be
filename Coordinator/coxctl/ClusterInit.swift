// `coxctl cluster init`: the first files of a cluster, made on the operator's machine before anything runs.

import ArgumentParser
import FoundationEssentials
import Glibc
import Identity
import Launching
import Model

struct ClusterInit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make a cluster's authority, keys, and one folder for each coordinator.",
        discussion: """
            Writes into DIR: the authority, the gossip keys, an operator's certificate with a context file for coxctl, and for
            each coordinator a folder that holds all it needs to start. Nothing that is there already is overwritten.
            """)

    @Option(help: "The cluster's name.")
    var name: String

    @Option(help: "The folder to write into.")
    var dir: String

    @Option(
        name: .customLong("coordinator"), parsing: .singleValue,
        help: ArgumentHelp(
            "A coordinator: NODE,zone=Z,host=H[,api=7401][,link=7411][,gossip=7421][,metrics=7431]. Give one, three or five.",
            valueName: "spec"))
    var coordinators: [String]

    @Option(help: "The operator's name, in its certificate.")
    var `operator`: String = "admin"

    @Option(help: "Seconds before a lost replica is made anew elsewhere.")
    var repairDelay: Int?

    func run() throws {
        let members = try coordinators.map { try CoordinatorSpec($0) }
        let files = try ClusterFiles(cluster: name, members: members, operatorName: `operator`, repairDelaySeconds: repairDelay)
        try files.write(to: dir)
        let pin = try files.authority.certificate.pin()
        print("cluster \(name) \(files.id): \(members.count) coordinators, authority pin \(pin)")
        for member in members { print("  \(member.node)  \(dir)/\(member.node)/coordinator.json") }
        print("Next: copy each folder to its machine and start it there: coxswain-coordinator --config coordinator.json")
        print("      keep \(dir)/authority.key safe; give coxctl its context: export COXSWAIN_CONTEXT=\(dir)/context.json")
    }
}

extension CoordinatorSpec {
    /// One `--coordinator`.
    /// - Throws: `ValidationError` naming the part that is wrong.
    init(_ text: String) throws {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        var options: [String: String] = [:]
        for part in parts.dropFirst() {
            guard let sign = part.firstIndex(of: "=") else {
                throw ValidationError("--coordinator: '\(part)' is not key=value")
            }
            let key = String(part[..<sign])
            guard options.updateValue(String(part[part.index(after: sign)...]), forKey: key) == nil else {
                throw ValidationError("--coordinator: '\(key)' is given twice")
            }
        }
        guard let zone = options.removeValue(forKey: "zone") else { throw ValidationError("--coordinator: zone=… is missing") }
        guard let host = options.removeValue(forKey: "host") else { throw ValidationError("--coordinator: host=… is missing") }
        self.init(node: try NodeID(parts[0]), zone: try ZoneName(zone), host: host)
        for (key, value) in options.sorted(by: { $0.key < $1.key }) {
            guard let port = UInt16(value), port > 0 else {
                throw ValidationError("--coordinator: \(key)=\(value) is not a port")
            }
            switch key {
            case "api": api = Int(port)
            case "link": link = Int(port)
            case "gossip": gossip = Int(port)
            case "metrics": metrics = Int(port)
            default: throw ValidationError("--coordinator: there is no '\(key)'")
            }
        }
    }
}
