// The rows of the crash matrix: the steps of each operation, undisturbed. A test compares them with what comes.

extension CrashOperation {
    /// Its steps as they are told, in one order in which they may come.
    package var steps: [String] {
        switch self {
        case .createTable:
            [
                "step replicas",
                "create at source",
                "create at member",
                "create at target",
                "give up at source",
                "give up at member",
                "give up at target",
                "propose ready at target",
                "propose ready at source",
                "propose ready at member",
                "step done",
            ]
        case .dropTable:
            [
                "step replicas",
                "give up at target",
                "give up at source",
                "drop at target",
                "give up at member",
                "drop at source",
                "drop at member",
                "propose cleaned at source",
                "propose cleaned at target",
                "propose cleaned at member",
                "cleaned",
                "step done",
            ]
        // A drain of one partition is a transfer of its primary role, as below, and then a move of a copy that does not lead.
        case .move, .drain:
            [
                "step copy",
                "create at target",
                "give up at target",
                "copy at primary",
                "begin import at target",
                "end import at target",
                "verify at primary",
                "verify at source",
                "verify at target",
                "verify at member",
                "checksum at primary",
                "checksum at source",
                "checksum at target",
                "checksum at member",
                "join at primary",
                "propose join at primary",
                "step handOver",
                "propose removal at primary",
                "step dropSource",
                "give up at source",
                "drop at source",
                "propose cleaned at source",
                "step done",
            ]
        case .movePrimary:
            [
                "step copy",
                "create at target",
                "give up at target",
                "copy at source",
                "begin import at target",
                "end import at target",
                "verify at source",
                "verify at member",
                "verify at target",
                "checksum at source",
                "checksum at member",
                "checksum at target",
                "join at source",
                "propose join at source",
                "step handOver",
                "fence at source",
                "propose switch at source",
                "switched",
                "propose removal at target",
                "step dropSource",
                "give up at source",
                "drop at source",
                "propose cleaned at source",
                "step done",
            ]
        case .repair:
            [
                "step copy",
                "create at target",
                "give up at target",
                "copy at source",
                "begin import at target",
                "end import at target",
                "verify at source",
                "verify at member",
                "verify at target",
                "checksum at source",
                "checksum at member",
                "checksum at target",
                "join at source",
                "propose join at source",
                "step done",
                "give up at member",
                "drop at member",
                "propose cleaned at member",
                "cleaned",
            ]
        case .needlessRepair:
            [
                "step copy",
                "create at target",
                "give up at target",
                "copy at source",
                "begin import at target",
                "step done",
                "drop at target",
                "join at source",
                "propose join at source",
                "end import at target",
                "propose cleaned at target",
                "cleaned",
            ]
        case .split:
            [
                "step fence",
                "fence at source",
                "split record at source",
                "split record at member",
                "split record at target",
                "propose split at source",
                "step done",
            ]
        case .merge:
            [
                "step fence",
                "fence at source",
                "split record at source",
                "split record at member",
                "split record at target",
                "propose merge at source",
                "step done",
            ]
        case .transfer:
            [
                "step fence",
                "fence at source",
                "propose switch at source",
                "switched",
                "step done",
            ]
        case .removeOrphan:
            [
                "step dropSource",
                "give up at source",
                "drop at source",
                "propose cleaned at source",
                "step done",
            ]
        case .cancelCopy:
            [
                "step copy",
                "create at target",
                "give up at target",
                "step done",
                "drop at target",
                "propose cleaned at target",
                "cleaned",
            ]
        case .cancelHandOver:
            [
                "step copy",
                "create at target",
                "give up at target",
                "copy at source",
                "begin import at target",
                "end import at target",
                "verify at source",
                "verify at member",
                "verify at target",
                "checksum at source",
                "checksum at member",
                "checksum at target",
                "join at source",
                "propose join at source",
                "step handOver",
                "step done",
                "drop at target",
                "propose cleaned at target",
                "cleaned",
            ]
        case .cancelSplit, .cancelMerge:
            [
                "step fence",
                "step done",
            ]
        case .pauseCopy:
            [
                "step copy",
                "create at target",
                "give up at target",
                "paused",
                "resumed",
                "copy at primary",
                "begin import at target",
                "end import at target",
                "verify at primary",
                "verify at source",
                "verify at target",
                "verify at member",
                "checksum at primary",
                "checksum at target",
                "checksum at member",
                "checksum at source",
                "join at primary",
                "propose join at primary",
                "step handOver",
                "propose removal at primary",
                "step dropSource",
                "give up at source",
                "drop at source",
                "propose cleaned at source",
                "step done",
            ]
        case .pauseHandOver:
            [
                "step copy",
                "create at target",
                "give up at target",
                "copy at source",
                "begin import at target",
                "end import at target",
                "verify at source",
                "verify at member",
                "verify at target",
                "checksum at source",
                "checksum at member",
                "checksum at target",
                "join at source",
                "propose join at source",
                "step handOver",
                "paused",
                "resumed",
                "fence at source",
                "propose switch at source",
                "switched",
                "propose removal at target",
                "step dropSource",
                "give up at source",
                "drop at source",
                "propose cleaned at source",
                "step done",
            ]
        }
    }
}
