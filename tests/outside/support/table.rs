//! What `--dry-run` prints: the steps of both processes, each with its calls.

/// A step of the table.
#[derive(Debug)]
pub struct Step {
    pub number: usize,
    /// It is a step of the child, not of mydocker itself.
    pub child: bool,
    pub purpose: String,
    /// Its calls, as strace would show them.
    pub calls: Vec<String>,
}

/// Parses the table; a line that has no place in it fails, and so does a number without that of all steps.
pub fn parse_table(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut totals: Vec<usize> = Vec::new();
    for line in text.lines() {
        if let Some(call) = line.strip_prefix(&" ".repeat(20)) {
            let name = call.split_once('(').unwrap_or_else(|| panic!("no call: {line}")).0;
            assert!(
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
            assert!(call.ends_with(')'), "{line}");
            steps.last_mut().unwrap_or_else(|| panic!("a call before the first step: {line}")).calls.push(call.into());
            continue;
        }
        // `NN of NN  parent  PURPOSE`
        let (number, rest) = line.split_once(" of ").unwrap_or_else(|| panic!("no number: {line}"));
        let (total, rest) = rest.split_once("  ").unwrap_or_else(|| panic!("no columns: {line}"));
        let (who, purpose) = rest.split_at_checked(8).unwrap_or_else(|| panic!("no columns: {line}"));
        assert!(number.len() == 2 && ["parent  ", "child   "].contains(&who), "{line}");
        totals.push(total.parse().unwrap_or_else(|_| panic!("no number: {line}")));
        assert!(purpose.starts_with(|first: char| first.is_uppercase()) && !purpose.contains("  "), "{line}");
        steps.push(Step {
            number: number.trim_start().parse().unwrap_or_else(|_| panic!("no number: {line}")),
            child: who == "child   ",
            purpose: purpose.to_string(),
            calls: Vec::new(),
        });
    }
    assert!(totals.iter().all(|total| *total == steps.len()), "{text}");
    steps
}
