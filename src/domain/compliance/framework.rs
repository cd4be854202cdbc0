//! The catalogues of requirements that checks refer to, with a short title of each requirement.
//!
//! Enters: `data/requirements.tsv`, compiled in. Leaves: words, names, titles. Must never: quote a standard's own text;
//! the titles are ours and only help to find the place.

use std::sync::LazyLock;

use crate::domain::checks::References;

/// A catalogue of requirements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Framework {
    /// NIST SP 800-53.
    Nist,
    /// CIS Controls.
    Cis,
    /// ISO/IEC 27001, Annex A.
    Iso,
    /// The trust services criteria of a SOC 2 report.
    Soc2,
    /// PCI DSS.
    Pci,
}

impl Framework {
    /// Every one, in the order in which checks name them.
    pub const ALL: [Self; 5] = [Self::Nist, Self::Cis, Self::Iso, Self::Soc2, Self::Pci];

    /// The word on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nist => "nist",
            Self::Cis => "cis",
            Self::Iso => "iso",
            Self::Soc2 => "soc2",
            Self::Pci => "pci",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }

    /// Its name with the edition that the references are of.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nist => "NIST SP 800-53 revision 5",
            Self::Cis => "CIS Controls 8.1",
            Self::Iso => "ISO/IEC 27001:2022 Annex A",
            Self::Soc2 => "AICPA trust services criteria (2017)",
            Self::Pci => "PCI DSS 4.0.1",
        }
    }

    /// What a check refers to in it.
    pub fn of(self, references: &References) -> &'static [&'static str] {
        match self {
            Self::Nist => references.nist,
            Self::Cis => references.cis,
            Self::Iso => references.iso,
            Self::Soc2 => references.soc2,
            Self::Pci => references.pci,
        }
    }

    /// Its requirements that the table knows: number and title, in the order of the table.
    pub fn requirements(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        TITLES.iter().filter(move |row| row.0 == self).map(|row| (row.1, row.2))
    }
}

/// Framework, requirement, title.
static TITLES: LazyLock<Vec<(Framework, &'static str, &'static str)>> = LazyLock::new(|| {
    let lines = include_str!("../data/requirements.tsv").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(row).collect()
});

fn row(line: &'static str) -> Option<(Framework, &'static str, &'static str)> {
    let mut cells = line.split('\t');
    let (framework, requirement, title) = (cells.next()?, cells.next()?, cells.next()?);
    Some((Framework::parse(framework)?, requirement, title))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::checks::CHECKS;

    #[test]
    fn each_word_names_one() {
        for framework in Framework::ALL {
            assert_eq!(Framework::parse(framework.as_str()), Some(framework));
        }
        assert_eq!(Framework::parse("NIST"), None);
    }

    #[test]
    fn every_row_is_read() {
        let text = include_str!("../data/requirements.tsv");
        let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(TITLES.len(), rows);
        assert!(TITLES.iter().all(|row| !row.2.is_empty()));
    }

    #[test]
    fn exactly_the_requirements_that_checks_serve_have_a_title() {
        for framework in Framework::ALL {
            let titled: Vec<&str> = framework.requirements().map(|(requirement, _)| requirement).collect();
            let unique: BTreeSet<&str> = titled.iter().copied().collect();
            assert_eq!(titled.len(), unique.len(), "{framework:?} names a requirement twice");
            let served: BTreeSet<&str> =
                CHECKS.iter().flat_map(|check| framework.of(&check.references)).copied().collect();
            assert_eq!(unique, served, "{framework:?}");
        }
    }
}
