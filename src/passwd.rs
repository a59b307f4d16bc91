//! passwd(5) and group(5), a line at a time.

use crate::text;

/// The words of `-u`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// A name or a number.
    pub user: &'a [u8],
    /// The same, where it was given.
    pub group: Option<&'a [u8]>,
}

/// `USER`, `USER:GROUP`, each a name or a number. `None`: a part is empty.
pub fn wanted(word: &[u8]) -> Option<Wanted<'_>> {
    let (user, group) = match text::split_at(word, b':') {
        Some((user, group)) => (user, Some(group)),
        None => (word, None),
    };
    (!user.is_empty() && group.is_none_or(|group| !group.is_empty())).then_some(Wanted { user, group })
}

/// A user or group id. (uid_t)-1 means "no change" to the kernel, and is none.
pub fn id(word: &[u8]) -> Option<u32> {
    text::decimal(word).ok().and_then(|n| u32::try_from(n).ok()).filter(|&n| n != u32::MAX)
}

/// What is used of a line of passwd(5).
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

/// `name:password:uid:gid:comment:home:shell`; a line that is none is passed over.
pub fn user(line: &[u8]) -> Option<User<'_>> {
    let mut fields = text::split(line, b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let (uid, gid) = (id(fields.nth(1)?)?, id(fields.next()?)?);
    Some(User { name, uid, gid, home: fields.nth(1)? })
}

/// What is used of a line of group(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The group id.
    pub gid: u32,
    members: &'a [u8],
}

impl Group<'_> {
    /// Whether `user` is among its members.
    pub fn has(&self, user: &[u8]) -> bool {
        text::split(self.members, b',').any(|member| member == user)
    }
}

/// `name:password:gid:member,member`; a line that is none is passed over.
pub fn group(line: &[u8]) -> Option<Group<'_>> {
    let mut fields = text::split(line, b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    Some(Group { name, gid: id(fields.nth(1)?)?, members: fields.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let parts = |word: &'static str| wanted(word.as_bytes()).map(|w| (w.user, w.group));
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
        assert_eq!(user(b"a::1:2::/h").map(|u| u.home), Some(&b"/h"[..]));
        for bad in ["", "#c", "a:x:1", "a:x:y:1:c:/h:s", ":x:1:1:c:/h:s", "+::::::", "a:x:1:2:c"] {
            assert_eq!(user(bad.as_bytes()), None, "{bad}");
        }
        let audio = group(b"audio:x:29:a,bc,d").unwrap();
        assert!(audio.gid == 29 && audio.has(b"bc") && !audio.has(b"b") && !audio.has(b"cd"));
        assert!(!group(b"g:x:1:").unwrap().has(b"a"));
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
    fn agrees_with_the_oracle() {
        let mut state: u64 = 9;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        let mut found = 0;
        for _ in 0..50_000 {
            let words = ["a", "x", "0", "1000", "4294967295", "", "/home/a", "-1", "root", "7", "+"];
            let line: Vec<&str> = (0..random(9)).map(|_| words[random(words.len())]).collect();
            let line = line.join(":");
            let ours = user(line.as_bytes()).map(|u| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(u.name), u.uid, u.gid, text(u.home))
            });
            found += u32::from(ours.is_some());
            assert_eq!(ours, user_oracle(&line), "{line}");
        }
        assert!(found > 500, "only {found} of the random lines were users");
        let host = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        assert!(host.lines().all(|line| user(line.as_bytes()).is_some() == user_oracle(line).is_some()));
    }
}
