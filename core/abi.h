/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* abi.h - the one source of truth for every byte and number that two worlds agree on.
 *
 * A channel is two buffers in RAM. Each world writes only its own; it reads the other's. A buffer is
 *
 *     control block (IST_CONTROL_SIZE) | ring (ring_bytes, a power of two) | overrun (one largest record)
 *
 * Every control word is 32 bits, little-endian, naturally aligned, and written by the buffer's owner alone.
 * Records start at (cursor & (ring_bytes - 1)) and never wrap: one that starts near the end of the ring runs on
 * into the overrun area. So a record is always contiguous, there is no filler record, and the bound of every
 * access is ring_bytes + one record, whatever the cursor says.
 *
 * No pointer and no offset crosses the border. */
#ifndef ISTHMUS_ABI_H
#define ISTHMUS_ABI_H

/* ---- numbers ------------------------------------------------------------------------------------------- */

#define IST_MAGIC 0x4953u      /* upper half of the state word: "IS" */
#define IST_VERSION 1u         /* version of this file's bytes; a different one is refused */

#define IST_ALIGN 16u          /* every record and cursor is a multiple of it, so a cursor's low bits are free */
#define IST_LINE 128u          /* words with different readers lie this far apart (two 64-byte lines: the
                                  adjacent-line prefetcher pairs them) */
#define IST_FRAME_MIN 60u      /* Ethernet without its FCS; a shorter frame is zero-padded by the sender */
#define IST_FRAME_LIMIT 65552u /* 64 KiB IP packet + Ethernet header, rounded up to IST_ALIGN */
#define IST_RING_MIN 4096u
#define IST_RING_MAX (1u << 30) /* cursors run freely in 32 bits: in flight must stay below half of that */
#define IST_MTU_MIN 46u
#define IST_ETHER_ROOM 18u     /* destination, source, one VLAN tag, EtherType */
#define IST_LANES_MAX 4u       /* rings side by side in the same two buffers, see lane.h */
#define IST_LANE_SHIFT 62u     /* a lane's sequence begins at first_sequence + (lane << this) */
#define IST_TRAILER 16u        /* room behind the payload for the tag, where the channel carries one */

/* ---- the control block, at offset 0 of each buffer ------------------------------------------------------ */

#define IST_CTL_STATE 0x000u    /* IST_STATE_WORD: magic, version, role, link state. Published last. */
#define IST_CTL_REFUSAL 0x004u  /* verdict for which the owner refuses its peer; 0 = none. Informative only. */
#define IST_CTL_EPOCH_LO 0x008u /* epoch that the owner was given by the monitor */
#define IST_CTL_EPOCH_HI 0x00cu
#define IST_CTL_DIGEST_LO 0x010u /* digest of the geometry, see ist_config_digest() */
#define IST_CTL_DIGEST_HI 0x014u
#define IST_CTL_MTU 0x018u      /* bytes of payload above Ethernet */
#define IST_CTL_FEATURES 0x01cu /* IST_FEATURE_* that the owner offers; << 16: that it requires */
#define IST_CTL_BEAT 0x020u     /* counts the owner's polls: a heartbeat */
#define IST_CTL_HEAD 0x080u     /* cursor behind the last published record of the owner's ring */
#define IST_CTL_TAIL 0x100u     /* cursor up to which the owner has consumed its peer's ring */
#define IST_CTL_WAKE_RX 0x180u  /* event | armed: ring me once your head passes it (frames to read) */
#define IST_CTL_WAKE_TX 0x184u  /* event | armed: ring me once your tail passes it (room to write) */
#define IST_CONTROL_SIZE 0x200u

/* The state word, one load for the peer's whole condition. Reserved bits are zero. */
#define IST_STATE_WORD(role, state) ((IST_MAGIC << 16) | (IST_VERSION << 8) | ((role) << 4) | (state))
#define IST_STATE_OF(word) ((word) & 0xfu)
#define IST_ROLE_OF(word) (((word) >> 4) & 0xfu)
#define IST_VERSION_OF(word) (((word) >> 8) & 0xffu)
#define IST_MAGIC_OF(word) ((word) >> 16)

/* A wake word: cursors are multiples of IST_ALIGN, bit 0 says that the request stands. */
#define IST_WAKE_ARMED 1u

/* ---- a record: header, payload, trailer ------------------------------------------------------------------ */

#define IST_REC_LENGTH 0x0u   /* u32: bytes of payload, IST_FRAME_MIN..frame_max */
#define IST_REC_SEQUENCE 0x4u /* u32: low half of the 64-bit sequence */
#define IST_REC_FLAGS 0x8u    /* u16 flags (IST_FLAG_*), u16 segment size */
#define IST_REC_CSUM 0xcu     /* u16 checksum start, u16 checksum offset behind it */
#define IST_REC_PAYLOAD 0x10u /* the frame; then, 16-aligned, the trailer where tag != IST_TAG_NONE */

#define IST_ROUND(n) (((n) + (IST_ALIGN - 1u)) & ~(IST_ALIGN - 1u))

#define IST_FLAG_CSUM_PARTIAL 0x1u /* the transport checksum is still to be filled in at start + offset */
#define IST_FLAG_CSUM_VALID 0x2u   /* the sender vouches for the transport checksum */
#define IST_FLAG_GSO_TCP4 0x4u     /* TCP over IPv4, to be cut into segments of the given size */
#define IST_FLAG_GSO_TCP6 0x8u     /* the same over IPv6 */
#define IST_FLAGS_ALL 0xfu

/* ---- features, tags, roles, states ---------------------------------------------------------------------- */

#define IST_FEATURE_SLEEPER_FENCE 0x1u /* before I sleep I make every peer thread pass a barrier (membarrier),
                                          so you need no fence of your own between publish and wake check */
#define IST_FEATURE_OFFLOAD 0x2u       /* I accept the checksum and segmentation fields */
#define IST_FEATURES_ALL 0x3u

enum ist_role { IST_NORMAL = 0, IST_SECURE = 1 };

enum ist_tag { IST_TAG_NONE = 0, IST_TAG_CRC32C = 1, IST_TAG_SIPHASH = 2, IST_TAGS };

/* Link states. Anything else in a peer's state word is a violation. */
enum ist_state {
    IST_RESET = 0, /* no session; own control words are being cleared, or were never set */
    IST_INIT = 1,  /* own words cleared and identity published; the peer is not there yet */
    IST_READY = 2, /* the peer's identity was checked and fits */
    IST_RUN = 3,   /* the peer has checked ours too: frames pass */
    IST_DEAD = 4,  /* the peer broke the protocol; ends with this epoch */
    IST_STATES
};

/* ---- verdicts: every outcome has one name and one counter ----------------------------------------------- */

/* X(NAME, text). The order is part of the ABI (IST_CTL_REFUSAL carries the number). */
#define IST_VERDICTS(X) \
    X(OK, "accepted")                                                                              \
    X(EMPTY, "nothing to receive")                                                                 \
    X(FULL, "ring full, frame dropped by its sender")                                              \
    X(DOWN, "link is not in RUN")                                                                  \
    X(EGRESS, "not on the allow-list for sending, dropped by its sender")                          \
    /* a received frame refused; the channel lives on */                                           \
    X(LENGTH_SHORT, "length below the smallest frame")                                             \
    X(LENGTH_LONG, "length above the frame limit")                                                 \
    X(LENGTH_OVERRUN, "record runs past the published head")                                       \
    X(FLAGS, "unknown flag or reserved bit")                                                       \
    X(OFFLOAD, "offload fields contradict the frame or were not agreed")                           \
    X(REPLAY, "sequence already seen")                                                             \
    X(GAP, "sequence further ahead than the ring can hold")                                        \
    X(TAG, "integrity tag does not match")                                                         \
    X(FILTER, "not on the allow-list")                                                             \
    X(LANE, "its rule names another lane")                                                         \
    X(HEADER, "malformed ARP, IP, TCP, UDP or ICMP header")                                        \
    X(FRAGMENT, "fragment of an IP packet")                                                        \
    X(IP_OPTIONS, "options of IPv4 or IPv6, source routing among them")                              \
    X(VLAN, "VLAN or priority not on the allow-list, or nested tags")                              \
    X(SOURCE, "source address is not the peer's")                                                  \
    X(BROADCAST, "beyond the budget for frames to groups, dropped")                                \
    X(RATE, "beyond its rule's rate, dropped")                                                     \
    X(BUDGET, "beyond the budget, dropped")                                                        \
    X(NO_BUFFER, "receiver had no buffer")                                                         \
    /* the peer broke the protocol: DEAD until the next epoch */                                   \
    X(HEAD_RANGE, "head moved backwards or past the ring")                                         \
    X(HEAD_ALIGN, "head is not a multiple of the record alignment")                                \
    X(TAIL_RANGE, "tail moved backwards or past what was sent")                                    \
    X(TAIL_ALIGN, "tail is not a multiple of the record alignment")                                \
    X(STATE_WORD, "magic, version, role or state garbled while the link was up")                   \
    /* the handshake refused the peer; the link stays in INIT */                                   \
    X(PEER_MAGIC, "peer's buffer does not carry the magic")                                        \
    X(PEER_VERSION, "peer speaks another version")                                                 \
    X(PEER_ROLE, "peer has the same role")                                                         \
    X(PEER_GEOMETRY, "peer has another geometry")                                                  \
    X(PEER_MTU, "peer has another MTU")                                                            \
    X(PEER_FEATURES, "one side lacks a feature that the other requires")                                              \
    X(PEER_EPOCH, "peer is in another epoch (stale memory, or not yet restarted)")                 \
    /* the session ended */                                                                        \
    X(PEER_LEFT, "peer ended the session")                                                         \
    X(PEER_SILENT, "peer's heartbeat stopped")                                                     \
    X(PEER_DEAD, "peer declared the channel dead")                                                 \
    /* the caller's own mistakes */                                                                \
    X(TOO_LONG, "frame longer than the frame limit")                                               \
    X(MISUSE, "call out of order")                                                                 \
    X(BAD_RING, "ring size is not a power of two within the limits")                               \
    X(BAD_FRAME, "frame limit outside its range")                                                  \
    X(FRAME_RING, "frame limit above the ring's capacity")                                         \
    X(BAD_MTU, "MTU outside its range or above the frame limit")                                   \
    X(BAD_TAG, "unknown integrity tag")                                                            \
    X(BAD_ROLE, "unknown role")                                                                    \
    X(BAD_FEATURES, "unknown feature, or required but not offered")                                \
    X(BAD_CURSOR, "first cursor is not a multiple of the record alignment")                        \
    X(BAD_FILTER, "filter table is not well-formed")

enum ist_verdict {
#define IST_X(name, text) IST_V_##name,
    IST_VERDICTS(IST_X)
#undef IST_X
    IST_VERDICT_COUNT
};

#endif
