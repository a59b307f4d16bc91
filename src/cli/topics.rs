//! What `mydocker help TOPIC` prints; the man page has the same chapters.

/// A chapter.
pub struct Topic {
    /// Its name, as `help` takes it.
    pub name: &'static str,
    /// Its paragraphs, with an empty line between them; one that is indented shows commands.
    pub text: &'static str,
}

/// All of them.
pub const TOPICS: [Topic; 4] = [
    Topic {
        name: "limits",
        text: "\
Without options the memory is limited to 200m, without swap; -m max lifts that.
A limit that was asked for and cannot be applied ends the run with 125 before
the command starts. A default one that this host cannot apply is left out.

A run has a cgroup of its own: one on v2, and on v1 one in each hierarchy where
it has a limit (with a name, also in freezer; with --privileged, in all). The
command is in it from its first instruction, and it is gone at the end.

Root needs nothing for this. An ordinary user needs a cgroup that root has given
away. On v2 systemd does that; on v1 root makes one in each hierarchy with a
limit (memory and cpu, unless others are asked for):

    systemd-run --user --scope -p Delegate=yes mydocker run -m 100m sh

    cd /sys/fs/cgroup && mkdir memory/own cpu/own
    chown USER memory/own cpu/own
    mydocker run --cgroup-parent /own -m 100m sh

(In cpuset, write its cpuset.cpus and cpuset.mems first; one in freezer lets
pause work. All are gone when the host boots.) What was used, and what is in
force: run --stats, mydocker stats NAME. What this host can limit: mydocker
check.
",
    },
    Topic {
        name: "root",
        text: "\
Without --rootfs the command sees the files of the host, and as root it can
change them. --ephemeral keeps its writes in memory, --read-only forbids them.

--rootfs takes a directory, which keeps what is written to it; or a file or a
device with a filesystem in it, where writes go to memory and are lost. There
are no images to pull: unpack one (debootstrap, docker export), or make a root
of one file, a static busybox:

    mkdir -p root/bin && cp \"$(busybox which busybox)\" root/bin
    mydocker run --rootfs root -t /bin/busybox sh

In a root of its own the container has its own /proc, /sys, /dev and /dev/shm,
and /etc/hosts, hostname and resolv.conf: what it writes to these three is lost.
-v SRC:DST[:ro] shows a file or a directory of the host in it; with --tmpfs DST,
DST is a directory in memory.
",
    },
    Topic {
        name: "network",
        text: "\
Without options the container has a network of its own with nothing but lo.

    -p 8080:80                 port 8080 of the host leads to port 80 in it
    --network bridge           an address on the bridge mydocker0; root only
    --network bridge,forward   and the way out, through the host's address
    --network slirp4netns      the way out for ordinary users, too; or pasta
    --network container:NAME   the network of another container
    --network host             that of the host

-p works with each of them but host. A relay copies what comes, so the server
does not see the client's address. Containers on one bridge find each other by
--name and --hostname. A bridge has no IPv6.
",
    },
    Topic {
        name: "security",
        text: "\
A run without --rootfs is no boundary: the command sees the files of the host,
and reaches what its user reaches. With --rootfs it is one. These undo it:
--privileged; --cap-add of SYS_ADMIN, SYS_MODULE, SYS_RAWIO, DAC_READ_SEARCH,
MKNOD, PERFMON or BPF; as root, --pid host; and what you hand in, such as
-v /:/host or a disk.

The command has docker's capabilities without MKNOD, and a filter refuses rarely
needed system calls; /sys and the cgroups are read-only. It cannot gain others:
sudo fails, unless --security-opt no-new-privileges=false is given. An ordinary
user's run is in a user namespace, too.

What root in a container leaves in a directory or a volume is root's on the
host, set-user-ID files too: keep it below a directory that only root may enter,
or run as another user with -u.
",
    },
];

/// The chapter of this name.
pub fn find(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}
