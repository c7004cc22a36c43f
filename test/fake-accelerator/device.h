#pragma once

namespace fake {

// Names the device `fake`. Once in a process.
void register_device();

}  // namespace fake
