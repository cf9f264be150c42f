//! Where every choice of a run comes from: a seed, or a script that a search over all scripts writes.

/// splitmix64: small, and ours, so that a seed means the same for ever.
pub(crate) struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What goes wrong once in a while with a seed, and as often as its budget lasts in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A process ends between two outputs.
    Crash,
    /// A message never arrives.
    Loss,
}

pub(crate) enum Choices {
    Seeded(Rng),
    Scripted(Script),
}

impl Choices {
    pub(crate) fn seeded(seed: u64) -> Choices {
        Choices::Seeded(Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)))
    }

    /// A number below `n` that makes one run differ from another; a script has no use for it.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        match self {
            Choices::Seeded(rng) => rng.next() % n,
            Choices::Scripted(_) => 0,
        }
    }

    pub(crate) fn permille(&mut self, p: u64) -> bool {
        match self {
            Choices::Seeded(rng) => rng.next() % 1000 < p,
            Choices::Scripted(_) => false,
        }
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    pub(crate) fn fault(&mut self, fault: Fault, permille: u64) -> bool {
        match self {
            Choices::Seeded(rng) => rng.next() % 1000 < permille,
            Choices::Scripted(script) => script.fault(fault),
        }
    }

    /// Which of so many goes first, where a script says; the first one is the one whose turn it is.
    pub(crate) fn order(&mut self, candidates: usize) -> usize {
        match self {
            Choices::Seeded(_) => 0,
            Choices::Scripted(script) => script.choose(candidates),
        }
    }

    /// From here on a script chooses.
    pub(crate) fn begin(&mut self) {
        if let Choices::Scripted(script) = self {
            script.begun = true;
        }
    }

    pub(crate) fn script(&self) -> Option<&Script> {
        match self {
            Choices::Seeded(_) => None,
            Choices::Scripted(script) => Some(script),
        }
    }
}

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Choices of a run that are tried every way; those after them take what comes first.
    pub(crate) choices: usize,
    /// Choices of a run that differ from what comes first.
    pub(crate) deviations: usize,
    pub(crate) crashes: usize,
    pub(crate) losses: usize,
    pub(crate) session_ends: usize,
}

/// One run's choices: given up to some point, the first one from there on.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    bounds: Bounds,
    given: Vec<usize>,
    /// What was chosen, of how many.
    taken: Vec<(usize, usize)>,
    deviations: usize,
    /// Before that there is nothing to choose.
    begun: bool,
}

impl Script {
    pub(crate) fn first(bounds: Bounds) -> Script {
        Script { bounds, given: Vec::new(), taken: Vec::new(), deviations: 0, begun: false }
    }

    /// The script that follows the one that ran, depth first; none when all were tried.
    pub(crate) fn next(&self, bounds: Bounds) -> Option<Script> {
        let last = self.taken.iter().rposition(|(chosen, of)| chosen + 1 < *of)?;
        let mut given: Vec<usize> = self.taken[..=last].iter().map(|(chosen, _)| *chosen).collect();
        given[last] += 1;
        Some(Script { bounds, given, taken: Vec::new(), deviations: 0, begun: false })
    }

    pub(crate) fn choices(&self) -> Vec<usize> {
        self.taken.iter().map(|(chosen, _)| *chosen).collect()
    }

    fn choose(&mut self, of: usize) -> usize {
        let over = !self.begun || self.taken.len() >= self.bounds.choices || self.deviations >= self.bounds.deviations;
        if of < 2 || over {
            return 0;
        }
        let chosen = self.given.get(self.taken.len()).copied().unwrap_or(0);
        self.taken.push((chosen, of));
        self.deviations += usize::from(chosen > 0);
        chosen
    }

    fn fault(&mut self, fault: Fault) -> bool {
        if *self.left(fault) == 0 || self.choose(2) == 0 {
            return false;
        }
        *self.left(fault) -= 1;
        true
    }

    pub(crate) fn session_may_end(&self) -> bool {
        self.begun && self.bounds.session_ends > 0
    }

    pub(crate) fn session_ended(&mut self) {
        self.bounds.session_ends -= 1;
    }

    fn left(&mut self, fault: Fault) -> &mut usize {
        match fault {
            Fault::Crash => &mut self.bounds.crashes,
            Fault::Loss => &mut self.bounds.losses,
        }
    }
}
