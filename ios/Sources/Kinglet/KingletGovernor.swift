#if canImport(Darwin)
    import Foundation

    /// Tells a model what the device asks of it, for as long as it lives: memory pressure, heat, and, where it is told of them, the
    /// background and the foreground.
    ///
    /// ```swift
    /// let governor = KingletGovernor(of: model)
    /// ```
    public final class KingletGovernor: Sendable {
        private let source: any DispatchSourceMemoryPressure
        private let heat: any NSObjectProtocol & Sendable

        /// Begins to watch. The model is held for as long as the governor is.
        public init(of model: KingletModel) {
            let source = DispatchSource.makeMemoryPressureSource(eventMask: [.warning, .critical], queue: .global())
            source.setEventHandler { [unowned source] in
                model.memoryPressure(source.data.contains(.critical) ? .critical : .moderate)
            }
            source.activate()
            self.source = source
            model.thermal(ThermalState(ProcessInfo.processInfo.thermalState))
            let observer = NotificationCenter.default.addObserver(
                forName: ProcessInfo.thermalStateDidChangeNotification, object: nil, queue: nil
            ) { _ in
                model.thermal(ThermalState(ProcessInfo.processInfo.thermalState))
            }
            heat = Observer(observer)
        }

        deinit {
            source.cancel()
        }
    }

    /// A registration that ends with its owner.
    private final class Observer: NSObject, @unchecked Sendable {
        private let registered: any NSObjectProtocol

        init(_ registered: any NSObjectProtocol) {
            self.registered = registered
        }

        deinit {
            NotificationCenter.default.removeObserver(registered)
        }
    }

    extension ThermalState {
        init(_ state: ProcessInfo.ThermalState) {
            self =
                switch state {
                case .nominal: .nominal
                case .fair: .fair
                case .serious: .serious
                case .critical: .critical
                @unknown default: .serious
                }
        }
    }
#endif
