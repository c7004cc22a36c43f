#pragma once

namespace fake {

// Names the device `fake`. Must be called once per process.
void register_device();

}  // namespace fake
