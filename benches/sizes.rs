//! How much the phases of the benchmark send, in whole and quick size.

/// How much each phase sends.
pub(crate) struct Sizes {
    /// Events sent before anything is measured.
    pub(crate) warm_up: usize,
    /// Events of the idle phase, and how many a second.
    pub(crate) idle: (usize, u32),
    /// Events of the paced phase, and how many a second.
    pub(crate) paced: (usize, u32),
    /// Events of the main phase.
    pub(crate) main: usize,
    /// Slices of each way in which features are compared.
    pub(crate) rounds: usize,
    /// Deliveries that wait for a dead receiver.
    pub(crate) pending: usize,
    /// Seconds of each phase beside them.
    pub(crate) beside_seconds: usize,
}

/// The ordinary benchmark.
pub(crate) const WHOLE: Sizes = Sizes {
    warm_up: 2_000,
    idle: (200, 20),
    paced: (5_000, 1_000),
    main: 20_000,
    rounds: 3,
    pending: 200_000,
    beside_seconds: 10,
};
/// The one of `--quick`.
pub(crate) const QUICK: Sizes = Sizes {
    warm_up: 1_000,
    idle: (60, 20),
    paced: (2_000, 1_000),
    main: 10_000,
    rounds: 1,
    pending: 20_000,
    beside_seconds: 3,
};
