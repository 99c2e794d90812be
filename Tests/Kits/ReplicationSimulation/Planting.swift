// Where a rule of replication or of leases is turned off.

import Model
import Replication

extension ReplicationSettings {
    /// - Precondition: no mutant, or a build with the condition MUTANTS.
    func with(_ mutant: RuleMutant?) -> Self {
        #if MUTANTS
            var settings = self
            settings.mutant = mutant
            return settings
        #else
            precondition(mutant == nil, "rules can be turned off only in a build with MUTANTS")
            return self
        #endif
    }
}

extension LeaseSettings {
    /// - Precondition: no mutant, or a build with the condition MUTANTS.
    func with(_ mutant: RuleMutant?) -> Self {
        #if MUTANTS
            var settings = self
            settings.mutant = mutant
            return settings
        #else
            precondition(mutant == nil, "rules can be turned off only in a build with MUTANTS")
            return self
        #endif
    }
}
