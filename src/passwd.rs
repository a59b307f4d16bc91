//! Lines of passwd(5) and group(5), and the `USER[:GROUP]` of `-u`.

use crate::bytes::{decimal, has_part, split, split_once};

/// The value of `-u`: the user to run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserAndGroup<'a> {
    /// A name or an id.
    pub user: &'a [u8],
    /// A name or an id; `None` if only the user is named.
    pub group: Option<&'a [u8]>,
}

/// Parses `USER` or `USER:GROUP`, each a name or an id. `None` if a part is empty.
pub fn user_and_group(word: &[u8]) -> Option<UserAndGroup<'_>> {
    let (user, group) = match split_once(word, b':') {
        Some((user, group)) => (user, Some(group)),
        None => (word, None),
    };
    let is_complete = !user.is_empty() && group.is_none_or(|group| !group.is_empty());
    is_complete.then_some(UserAndGroup { user, group })
}

/// Parses a user or group id. `None` for (uid_t)-1 too, which means "no change" to the kernel: setresuid(2), chown(2).
pub fn id(word: &[u8]) -> Option<u32> {
    u32::try_from(decimal(word).ok()?).ok().filter(|&id| id != u32::MAX)
}

/// A line of passwd(5): the fields that mydocker uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The home directory.
    pub home: &'a [u8],
}

/// Parses `name:password:uid:gid:comment:home:shell`. `None` if the line is malformed.
pub fn user(line: &[u8]) -> Option<User<'_>> {
    let mut fields = split(line, b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = id(fields.nth(1)?)?;
    let gid = id(fields.next()?)?;
    let home = fields.nth(1)?;
    Some(User { name, uid, gid, home })
}

/// A line of group(5): the fields that mydocker uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The group id.
    pub gid: u32,
    members: &'a [u8],
}

impl Group<'_> {
    /// Whether `user` is one of its members.
    pub fn has_member(&self, user: &[u8]) -> bool {
        has_part(self.members, b',', user)
    }
}

/// Parses `name:password:gid:member,member`. `None` if the line is malformed.
pub fn group(line: &[u8]) -> Option<Group<'_>> {
    let mut fields = split(line, b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let gid = id(fields.nth(1)?)?;
    let members = fields.next()?;
    Some(Group { name, gid, members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use proptest::prelude::*;

    #[test]
    fn words() {
        let parts = |word: &'static str| user_and_group(word.as_bytes()).map(|parsed| (parsed.user, parsed.group));
        assert_eq!(parts("a"), Some((&b"a"[..], None)));
        assert_eq!(parts("1:2"), Some((&b"1"[..], Some(&b"2"[..]))));
        assert_eq!(parts("a:b:c"), Some((&b"a"[..], Some(&b"b:c"[..]))));
        assert!(parts("").is_none() && parts(":1").is_none() && parts("1:").is_none());
        assert_eq!(id(b"4294967294"), Some(u32::MAX - 1));
        assert!([&b"4294967295"[..], b"4294967296", b"-1", b"", b"1x"].iter().all(|word| id(word).is_none()));
    }

    #[test]
    fn lines() {
        let root = user(b"root:x:0:0:root:/root:/bin/sh").unwrap();
        assert_eq!((root.name, root.uid, root.gid, root.home), (&b"root"[..], 0, 0, &b"/root"[..]));
        assert_eq!(user(b"a::1:2::/h").map(|user| user.home), Some(&b"/h"[..]));
        for bad in ["", "#c", "a:x:1", "a:x:y:1:c:/h:s", ":x:1:1:c:/h:s", "+::::::", "a:x:1:2:c"] {
            assert_eq!(user(bad.as_bytes()), None, "{bad}");
        }
        let audio = group(b"audio:x:29:a,bc,d").unwrap();
        assert!(audio.gid == 29 && audio.has_member(b"bc") && !audio.has_member(b"b") && !audio.has_member(b"cd"));
        assert!(!group(b"g:x:1:").unwrap().has_member(b"a"));
        assert!(group(b"g:x:1").is_none() && group(b":x:1:a").is_none() && group(b"g:x:z:a").is_none());
    }

    /// Slowly: strings and indices.
    fn user_oracle(line: &str) -> Option<(String, u32, u32, String)> {
        let fields: Vec<&str> = line.split(':').collect();
        if fields.len() < 6 || fields[0].is_empty() {
            return None;
        }
        let number = |text: &str| {
            let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
            text.parse::<u128>().ok().filter(|&n| digits && n < u128::from(u32::MAX)).map(|n| n as u32)
        };
        Some((fields[0].into(), number(fields[2])?, number(fields[3])?, fields[5].into()))
    }

    #[test]
    fn agrees_with_the_oracle_on_random_lines() {
        let word =
            prop::sample::select(vec!["a", "x", "0", "1000", "4294967295", "", "/home/a", "-1", "root", "7", "+"]);
        let found = Cell::new(0);
        proptest!(ProptestConfig::with_cases(10_000), |(fields in prop::collection::vec(word, 0..9))| {
            let line = fields.join(":");
            let ours = user(line.as_bytes()).map(|user| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(user.name), user.uid, user.gid, text(user.home))
            });
            found.set(found.get() + u32::from(ours.is_some()));
            prop_assert_eq!(ours, user_oracle(&line));
        });
        assert!(found.get() > 100, "only {} of the random lines were users", found.get());
    }

    #[test]
    fn agrees_with_the_oracle_on_this_host() {
        let host = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        assert!(host.lines().all(|line| user(line.as_bytes()).is_some() == user_oracle(line).is_some()));
    }
}
