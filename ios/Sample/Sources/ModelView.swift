#if canImport(SwiftUI)
    import SwiftUI

    /// Description of the model, memory use, and timings.
    struct ModelView: View {
        let state: ModelState

        var body: some View {
            List {
                if let problem = state.problem { Text(problem).foregroundStyle(.red) }
                ForEach(state.facts) { fact in
                    HStack {
                        Text(fact.name)
                        Spacer()
                        Text(fact.value).foregroundStyle(.secondary).monospacedDigit()
                    }
                    .accessibilityElement(children: .combine)
                }
            }
        }
    }
#endif
