// OBJREF ([MS-DCOM] 2.2.18): the marshaled form of an object reference, as octets.
#pragma once

#include "dmrp/dcom_interfaces/types.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"
#include "protocol/dcom/dual_string_array.hpp"

#include <cstdint>
#include <span>
#include <variant>

namespace dmrp::dcom {

/// STDOBJREF.flags: the reference is not pinged ([MS-DCOM] 2.2.18.2).
inline constexpr std::uint32_t SORF_NOPING = 0x1000;

/// STDOBJREF ([MS-DCOM] 2.2.18.2); 40 octets here, where nothing is aligned.
using wire::STDOBJREF;

/// OBJREF_STANDARD ([MS-DCOM] 2.2.18.4).
struct OBJREF_STANDARD {
  STDOBJREF std;
  DualStringArray saResAddr;

  friend bool operator==(const OBJREF_STANDARD&, const OBJREF_STANDARD&) = default;
};

/// OBJREF_HANDLER ([MS-DCOM] 2.2.18.5).
struct OBJREF_HANDLER {
  STDOBJREF std;
  Guid clsid;
  DualStringArray saResAddr;

  friend bool operator==(const OBJREF_HANDLER&, const OBJREF_HANDLER&) = default;
};

/// OBJREF_CUSTOM ([MS-DCOM] 2.2.18.6). The "reserved" word is written as the data's size + 8, as other
/// implementations do, and ignored on reading.
struct OBJREF_CUSTOM {
  Guid clsid;
  std::uint32_t cbExtension = 0;
  Bytes pObjectData;

  friend bool operator==(const OBJREF_CUSTOM&, const OBJREF_CUSTOM&) = default;
};

/// OBJREF_EXTENDED ([MS-DCOM] 2.2.18.7) with its one DATAELEMENT.
struct OBJREF_EXTENDED {
  STDOBJREF std;
  DualStringArray saResAddr;
  Guid dataID;
  Bytes Data;

  friend bool operator==(const OBJREF_EXTENDED&, const OBJREF_EXTENDED&) = default;
};

struct OBJREF {
  Guid iid;
  std::variant<OBJREF_STANDARD, OBJREF_HANDLER, OBJREF_CUSTOM, OBJREF_EXTENDED> u_objref;

  /// The parts that STANDARD, HANDLER and EXTENDED share; null for CUSTOM.
  [[nodiscard]] const STDOBJREF* Standard() const;
  [[nodiscard]] const DualStringArray* ResolverAddress() const;

  friend bool operator==(const OBJREF&, const OBJREF&) = default;
};

[[nodiscard]] Bytes EncodeObjref(const OBJREF& objref);

/// Octets behind the reference are ignored. Fails with kMalformed and status RPC_E_INVALID_OBJREF on a bad
/// signature, flags that are not exactly one of the four kinds ([MS-DCOM] 3.2.4.1.2), or missing octets.
Result<OBJREF> DecodeObjref(std::span<const std::byte> bytes);

}  // namespace dmrp::dcom
